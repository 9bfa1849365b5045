# A program of its own on containerd's socket, by names that say nothing, and on the
# socket of a containerd that listens where nobody would look.
ln -s /run/containerd/containerd.sock "$dir/link"
"$dir/dial" "$dir/link"
: > "$dir/mounted"
mount --bind /run/containerd/containerd.sock "$dir/mounted"
"$dir/dial" "$dir/mounted"
(cd "$dir" && exec ./dial ./link)
ln /run/containerd/containerd.sock /run/hard
"$dir/dial" "/proc/$$/root/run/hard"
cat > "$dir/other.toml" <<END
version = 2
root = "$dir/other"
state = "/run/other"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/other/agent"
END
containerd -c "$dir/other.toml" -l fatal 2> "$dir/other.log" &
n=0
until test -S /run/other/agent; do
	n=$((n + 1)); test $n -lt 200 || { echo the other containerd does not start; exit 1; }
	sleep 0.05
done
"$dir/dial" /run/other/agent
"$dir/dial" /run/none
