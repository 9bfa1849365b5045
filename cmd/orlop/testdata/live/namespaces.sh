# A program of nobody knows whose joins a pod, a container beside it, and from one the host.
cp "$dir/cri" /usr/local/bin/kubelet
hidden ctr -n k8s.io images import "$dir/box.tar"
hidden ctr -n default images import "$dir/box.tar"
echo "dir=$dir" > "$dir/joins.sh"
cat >> "$dir/joins.sh" <<'END'
hidden() { echo "echo 4294967294 > /proc/self/loginuid; exec $*" | sh; }
pid() { hidden ctr -n $1 tasks ls | while read -r id pid state; do test "$id" != $2 || echo $pid; done; }
"$dir/join" $(pid k8s.io $CONTAINER) /bin/id
hidden ctr -n default run -d localhost/box:1 beside
"$dir/join" $(pid default beside) /bin/id
# And one in the pod's cgroup already.
sh -c 'while IFS=: read -r n c path; do
    c=${c#name=}; f=/sys/fs/cgroup${c:+/$c}$path/cgroup.procs
    test -e "$f" && echo $$ > "$f"
  done < /proc/$2/cgroup; exec "$1" "$2" /bin/id' sh "$dir/join" $(pid k8s.io $CONTAINER)
hidden ctr -n default run --rm --privileged --with-ns pid:/proc/1/ns/pid localhost/box:1 out /bin/join 1 /bin/true
hidden ctr -n default tasks kill -s 9 beside
END
/usr/local/bin/kubelet /run/containerd/containerd.sock keep "$dir/joins.sh"
