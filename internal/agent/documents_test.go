package agent_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
)

// documents makes n lines out of the template: processes that eight shells of
// one host start, each with its own pid, times, ids, hashes and arguments.
func documents(tb testing.TB, n int) []byte {
	template, err := os.ReadFile("testdata/process_4kb.json")
	if err != nil {
		tb.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	hex := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "0123456789abcdef"[r.IntN(16)]
		}
		return string(b)
	}
	var out bytes.Buffer
	for i := range n {
		shell := r.IntN(8)
		doc := bytes.TrimSpace(template)
		replace := func(old, new string) { doc = bytes.ReplaceAll(doc, []byte(old), []byte(new)) }
		replace("2026-04-29T10:11:12.8657898Z", fmt.Sprintf("2026-04-29T10:%02d:%02d.%07dZ", i/60%60, i%60, r.IntN(1e7)))
		replace("NGnjKBMwXvNVqf9k++++0sVe", hex(24))
		replace("\"pid\":4711", fmt.Sprintf("\"pid\":%d", 4711+i))
		replace("\"pid\":4700", fmt.Sprintf("\"pid\":%d", 4700+shell))
		replace("OGE0ZjUwMGQtMmYxYi00ZWM5LTg=", hex(28))
		replace("OGE0ZjUwMGQtMmYxYi00ZWM5LTc=", fmt.Sprintf("OGE0ZjUwMGQtMmYxYi00ZWM5%04d", shell))
		replace("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", hex(64))
		replace("\"sequence\":1234567", fmt.Sprintf("\"sequence\":%d", 1234567+i))
		replace("for i in $(seq 1 10); do echo $i; done", fmt.Sprintf("for i in $(seq 1 %d); do echo $i; done", i%90+10))
		out.Write(doc)
		out.WriteByte('\n')
	}
	return out.Bytes()
}
