package sink

import (
	"os"
	"sync"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/own"
)

// mostLetters is how large the dead letter file grows before it becomes
// dead-letter.ndjson.1, in place of the one before.
const mostLetters = 64 << 20

// letters is the dead letter file: a line for each alert that a sink refused,
//
//	{"@timestamp":"…","sink":"siem","id":"…","reason":"…","alert":{…}}
//
// A record that is not JSON is under "data", as a string.
type letters struct {
	mu   sync.Mutex
	path string
	f    *os.File
	size int64
}

func (l *letters) write(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil && l.size+int64(len(line)) > mostLetters {
		l.f.Close()
		l.f = nil
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return err
		}
	}
	if l.f == nil {
		f, err := own.Open(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return err
		}
		l.f, l.size = f, info.Size()
	}
	n, err := l.f.Write(line)
	if err != nil {
		l.f.Truncate(l.size)
		return err
	}
	l.size += int64(n)
	return l.f.Sync()
}

func (l *letters) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}

// letter puts an alert aside that the sink will never take. An id of "" says that
// the document is no alert.
func (b *Outbox) letter(sink, id string, doc []byte, why error) {
	line := append([]byte(`{"@timestamp":"`), b.o.Clock.Now().UTC().Format(time.RFC3339Nano)...)
	line = append(line, `","sink":`...)
	line = event.AppendQuoted(line, sink)
	line = append(line, `,"id":`...)
	line = event.AppendQuoted(line, id)
	line = append(line, `,"reason":`...)
	line = event.AppendQuoted(line, why.Error())
	if id != "" {
		line = append(append(line, `,"alert":`...), doc...)
	} else {
		line = append(line, `,"data":`...)
		line = event.AppendQuoted(line, string(doc))
	}
	line = append(line, "}\n"...)
	b.o.Log.Error("outbox: an alert is refused, and put into the dead letters", "sink", sink, "alert", id, "err", why)
	if err := b.letters.write(line); err != nil {
		b.o.Log.Error("outbox: an alert that was refused is lost", "sink", sink, "alert", id, "err", err)
	}
}
