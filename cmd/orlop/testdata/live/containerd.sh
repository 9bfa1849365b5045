# A containerd of our own, with the default paths of its socket, in mount and pid
# namespaces that end with this script: containerd.sh DIR STEPS
# It has the CRI, with the test's image for everything, and the network of the host.
set -e
dir=$1
mount -t tmpfs run /run
mount -t tmpfs local /usr/local
mkdir /usr/local/bin
cat > "$dir/config.toml" <<END
version = 2
root = "$dir/root"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/box:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
END
containerd -c "$dir/config.toml" -l fatal 2> "$dir/containerd.log" &
n=0
until test -S /run/containerd/containerd.sock; do
	n=$((n + 1)); test $n -lt 200 || { echo containerd does not start; exit 1; }
	sleep 0.05
done
# Out of the sight of orlop, which watches this login uid: hidden COMMAND...
hidden() { echo "echo 4294967294 > /proc/self/loginuid; exec $*" | sh; }
. "$2"
