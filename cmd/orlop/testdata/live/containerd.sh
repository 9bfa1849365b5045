# A containerd of our own, with the default paths of its socket, in mount and pid
# namespaces that end with this script: containerd.sh DIR STEPS
set -e
dir=$1
mount -t tmpfs run /run
mount -t tmpfs local /usr/local
mkdir /usr/local/bin
cat > "$dir/config.toml" <<END
version = 2
root = "$dir/root"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
END
containerd -c "$dir/config.toml" -l fatal 2> "$dir/containerd.log" &
n=0
until test -S /run/containerd/containerd.sock; do
	n=$((n + 1)); test $n -lt 200 || { echo containerd does not start; exit 1; }
	sleep 0.05
done
. "$2"
