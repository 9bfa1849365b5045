# What somebody with a shell on a node does, a step at a time.
ctr='ctr -n k8s.io'
$ctr images import "$dir/box.tar"
$ctr run -d localhost/box:1 web
$ctr tasks exec --exec-id e1 web /bin/id
$ctr run --rm --privileged --net-host --mount type=bind,src=/etc,dst=/host,options=rbind:ro localhost/box:1 root /bin/cat /host/hostname
cp "$(command -v ctr)" "$dir/kworker"
"$dir/kworker" -n k8s.io t exec --exec-id e2 web /bin/id
CONTAINERD_NAMESPACE=k8s.io ctr t exec --exec-id e3 web /bin/id
$ctr tasks kill -s 9 web
while $ctr tasks ls | grep -q RUNNING; do sleep 0.05; done
$ctr containers rm web
$ctr images rm localhost/box:1
