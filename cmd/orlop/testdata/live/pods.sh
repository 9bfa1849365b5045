# A kubelet at work, by the CRI: pods with a container and its probes, one after the other.
cp "$dir/cri" /usr/local/bin/kubelet
hidden ctr -n k8s.io images import "$dir/box.tar"
/usr/local/bin/kubelet /run/containerd/containerd.sock 3
