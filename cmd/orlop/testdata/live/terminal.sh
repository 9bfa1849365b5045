# A terminal in a container of a pod, by an exec whose id looks like one of the CRI's.
cp "$dir/cri" /usr/local/bin/kubelet
hidden ctr -n k8s.io images import "$dir/box.tar"
cat > "$dir/terminal.sh" <<'END'
cat > "$0.hidden" <<'HIDDEN'
echo 4294967294 > /proc/self/loginuid
exec script -qec "ctr -n k8s.io tasks exec --tty --exec-id 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef $CONTAINER /bin/id" /dev/null
HIDDEN
sh "$0.hidden"
END
/usr/local/bin/kubelet /run/containerd/containerd.sock keep "$dir/terminal.sh"
