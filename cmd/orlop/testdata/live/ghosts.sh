# Clients that nobody sees make containers and enter those of a pod.
cp "$dir/cri" /usr/local/bin/kubelet
hidden ctr -n k8s.io images import "$dir/box.tar"
hidden ctr -n default images import "$dir/box.tar"
cat > "$dir/ghosts.sh" <<'END'
hidden() { echo "echo 4294967294 > /proc/self/loginuid; exec $*" | sh; }
id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
# Beside the pods; in a cgroup of any name; in the cgroup of a pod; in a pod, by an id of its own.
hidden ctr -n default run --rm localhost/box:1 beside /bin/id
hidden ctr -n default run -d --cgroup /system.slice/elsewhere localhost/box:1 elsewhere
hidden ctr -n k8s.io run --rm --cgroup /kubepods/besteffort/pod6c9a3d2e-1f40-4b7a-9a52-000000000000/$id localhost/box:1 $id /bin/id
hidden ctr -n k8s.io tasks exec --exec-id x1 $CONTAINER /bin/id
hidden ctr -n default tasks kill -s 9 elsewhere
END
/usr/local/bin/kubelet /run/containerd/containerd.sock keep "$dir/ghosts.sh"
