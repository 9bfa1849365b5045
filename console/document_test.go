package console

import (
	"encoding/json"
	"testing"
)

// What a sequence was is its steps, whatever these have in them; any other alert is about
// its command.
func TestWhat(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		var d document
		if err := json.Unmarshal([]byte(doc), &d); err != nil {
			t.Fatal(err)
		}
		if got := d.what(); got != want {
			t.Errorf("%s\nis %q, want %q", doc, got, want)
		}
	}
	f(`{"process":{"command_line":"ctr c ls"},"kibana.alert.reason":"process event created low alert x."}`, "ctr c ls")
	f(`{"process":{"command_line":"ctr c ls"},"kibana.alert.group.id":"1","kibana.alert.building_block_type":"default"}`, "ctr c ls")
	const sequence = `"process":{"args":["ctr","-n"]},"kibana.alert.group.id":"1","kibana.alert.severity":"high"`
	f(`{`+sequence+`,"kibana.alert.reason":"\"ctr i import a\", then \"ctr run a\", by root on node-1 created high alert A, Then B."}`, `"ctr i import a", then "ctr run a"`)
	f(`{`+sequence+`,"kibana.alert.reason":"\"sh -c 'x, by y on z created high alert q'\", then \"b\", by root, ann, asked for by bob through the Kubernetes API, created high alert A."}`,
		`"sh -c 'x, by y on z created high alert q'", then "b"`)
	f(`{`+sequence+`,"kibana.alert.reason":"\"a\", then \"b\" created high alert A."}`, `"a", then "b"`)
	f(`{`+sequence+`}`, "ctr -n")
}
