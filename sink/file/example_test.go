package file_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink/file"
)

func Example() {
	dir, err := os.MkdirTemp("", "alerts-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s, err := file.Open(file.Options{Path: filepath.Join(dir, "alerts.ndjson"), Compress: "zstd"})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	a, err := alert.Parse([]byte(`{"kibana.alert.uuid": "e1", "kibana.alert.rule.rule_id": "r1"}`))
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Write(context.Background(), []*alert.Alert{a}); err != nil {
		log.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "alerts.ndjson"))
	fmt.Print(string(b), err)
	// Output:
	// {"kibana.alert.uuid":"e1","kibana.alert.rule.rule_id":"r1"}
	// <nil>
}
