package runtimecli_test

import (
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich/runtimecli"
)

// Checks of etcd are told from what reads its keys or changes its members, wherever flags stand.
func TestMaintains(t *testing.T) {
	f := func(payload, want string) {
		t.Helper()
		line := "crictl exec 9b " + payload
		call, ok := runtimecli.Parse(runtimecli.Command{Executable: "/usr/bin/crictl", Args: strings.Fields(line)})
		if got := call.Maintains(); !ok || got != want {
			t.Errorf("%s maintains %q, want %q", line, got, want)
		}
	}
	f("etcdctl endpoint health", "etcd")
	f("etcdctl --endpoints https://127.0.0.1:2379 --cacert /a --cert /b --key /c member list -w table", "etcd")
	f("etcdctl --endpoints=https://127.0.0.1:2379 --insecure-skip-tls-verify defrag --cluster", "etcd")
	f("/usr/local/bin/etcdutl snapshot status /tmp/x", "etcd")
	f("etcdctl -w json endpoint status", "etcd")
	f("etcdctl member add evil --peer-urls=http://10.9.9.9:2380", "")
	f("etcdctl member remove 8e9e05c52164694d", "")
	f("etcdctl member promote 8e9e05c52164694d", "")
	f("etcdctl get / --prefix --keys-only", "")
	f("etcdctl --key list get /registry/secrets", "")
	f("etcdctl get health status", "")
	f("etcdctl snapshot save /tmp/x", "")
	f("etcdctl --unheard-of member list", "etcd")
	f("etcdctl", "")
	f("/tmp/etcdctl endpoint health", "")
	f("sh -c etcdctl", "")
}
