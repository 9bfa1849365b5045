package agent

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/internal/own"
)

// What a run leaves to the next one is in two files of its state directory.
//
// checkpoint is everything of one moment: what the rules keep, the process table and
// the places in files. It is written every few seconds, and when a run ends, to
// another file, checkpoint.new, and the two change places. The other file is never
// given up: on a disk that is full it is what the next checkpoint has room in.
//
// raised is the ids of the alerts since then, 32 bytes each; raised.old those before,
// while a checkpoint is being written. A run that was killed is
// followed by one that goes on from the checkpoint: it sees events of files again,
// makes the same alerts of them, and knows by their ids which have been raised. An
// id is written once the alert has been handed on, so a kill at that very moment
// repeats one alert, with the same id, and loses none. That of an alert which a full
// disk keeps in memory is in the next checkpoint, which waits for the outbox.

// A State is a state directory in use.
type State struct {
	dir    string
	lock   *os.File
	raised *os.File
	seen   map[alertID]bool
	order  []alertID // of seen, the oldest first
	since  int       // how many of order are newer than the checkpoint
	log    *slog.Logger

	at      *Checkpoint // of the earlier run; nil if there was none
	written Written
	ailing  struct{ checkpoint, raised string } // why the last write of either failed; "" if it did not
}

type alertID [32]byte

// keepIDs is how many alerts before the checkpoint are remembered: for a source that
// tells again what it told before.
const keepIDs = 16384

// A Checkpoint is what a run leaves to the next one.
type Checkpoint struct {
	Host    string // the machine's id
	Time    time.Time
	Engine  *detect.State
	Table   *enrich.State
	Sources map[string]Position // by name of the stream
	Raised  []byte              // ids of alerts, 32 bytes each
}

// A Position is where to go on with a source.
type Position struct {
	About string // what the stream reads: of something else the place means nothing
	At    []byte
}

// Written says what has been written to a state directory.
type Written struct {
	Checkpoints int64     `json:"written"`
	Failures    int64     `json:"failures"`
	Bytes       int64     `json:"bytes"` // of the last checkpoint
	Time        time.Time `json:"time,omitzero"`
	Failing     string    `json:"failing,omitempty"` // why the last write failed; "" if it did not
}

// magic begins the first line of a checkpoint, before its shape, and the SHA-256 and
// length of what follows: a Checkpoint without the processes of its table, then those, a
// part after the other. What comes after that is room, or left of another one. Its number
// changes with the meaning of any State in it.
const magic = "orlop checkpoint 4 "

// shape tells the layout of a Checkpoint: the names and kinds of all that is in it. gob
// would leave out what the one build knows and the other does not, and so read half.
var shape = sync.OnceValue(func() string {
	var text strings.Builder
	layout(&text, reflect.TypeFor[Checkpoint](), map[reflect.Type]bool{})
	return digest([]byte(text.String()))[:16]
})

func layout(to *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprintf(to, "%s %s", t.Kind(), t.Name())
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		if t.Kind() == reflect.Array {
			fmt.Fprint(to, t.Len())
		}
		if t.Kind() == reflect.Map {
			layout(to, t.Key(), seen)
		}
		layout(to, t.Elem(), seen)
	case reflect.Struct:
		for f := range t.NumField() {
			if field := t.Field(f); field.IsExported() { // gob takes no other
				fmt.Fprintf(to, "{%s ", field.Name)
				layout(to, field.Type, seen)
				to.WriteByte('}')
			}
		}
	}
}

// processesAtOnce is how many processes are a part, so that the memory for a
// checkpoint's text does not grow with the table.
const processesAtOnce = 256

// OpenState takes a directory into use, and makes it if it is not there. What an
// earlier run left is read; what cannot be is told to log, and nothing is restored.
func OpenState(dir string, log *slog.Logger) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := own.Open(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("state directory %s: another orlop uses it", dir)
		}
		return nil, fmt.Errorf("state directory %s: lock: %w", dir, err)
	}
	s := &State{dir: dir, lock: lock, seen: map[alertID]bool{}, log: log}
	for _, name := range []string{"checkpoint", "checkpoint.new", "raised", "raised.old", decisionsName, decisionsName + ".new"} {
		if err := own.Check(s.path(name)); err != nil {
			s.Close()
			return nil, err
		}
	}
	c, err := s.read()
	switch {
	case err == nil:
		s.at = c
		s.remember(c.Raised)
	case errors.Is(err, fs.ErrNotExist):
	default:
		s.tell(slog.LevelError, "the checkpoint is not used, the run begins anew", "file", s.path("checkpoint"), "reason", err)
	}
	if err := s.readRaised(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *State) path(name string) string { return filepath.Join(s.dir, name) }

// readRaised reads the ids since the checkpoint, and opens their file. A last one
// that is not whole is as if it had not been written.
func (s *State) readRaised() error {
	old, err := own.ReadFile(s.path("raised.old"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.raised, err = s.openRaised(); err != nil {
		return err
	}
	defer s.reserveRaised() // after what is not whole is cut off
	b, err := io.ReadAll(s.raised)
	if err != nil {
		return err
	}
	whole := len(b) / len(alertID{}) * len(alertID{})
	if whole < len(b) {
		if err := s.raised.Truncate(int64(whole)); err != nil {
			return err
		}
	}
	s.since = s.remember(old) + s.remember(b[:whole])
	return nil
}

func (s *State) openRaised() (*os.File, error) {
	return own.Open(s.path("raised"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
}

// raisedBytes is how many bytes of ids the disk is asked to have room for in advance.
const raisedBytes = 4096

// reserveRaised asks for that, and so finds out whether the disk takes anything.
func (s *State) reserveRaised() {
	s.failed(&s.ailing.raised, reserveEnd(s.raised, raisedBytes))
}

// remember adds ids, and returns how many were new.
func (s *State) remember(b []byte) int {
	n := 0
	for id := (alertID{}); len(b) >= len(id); b = b[len(id):] {
		if copy(id[:], b); !s.seen[id] {
			s.seen[id] = true
			s.order = append(s.order, id)
			n++
		}
	}
	return n
}

// read reads the checkpoint.
func (s *State) read() (*Checkpoint, error) {
	b, err := own.ReadFile(s.path("checkpoint"))
	if err != nil {
		return nil, err
	}
	head, body, ok := bytes.Cut(b, []byte("\n"))
	rest, ours := strings.CutPrefix(string(head), magic)
	like, rest, _ := strings.Cut(rest, " ")
	sum, digits, _ := strings.Cut(rest, " ")
	if n, err := strconv.Atoi(digits); err == nil && n >= 0 && n <= len(body) {
		body = body[:n]
	}
	switch {
	case !ok || !strings.HasPrefix(string(head), "orlop checkpoint "):
		return nil, errors.New("it is not a checkpoint")
	case !ours:
		return nil, fmt.Errorf("it is %q, this program reads %q", strings.TrimSpace(string(head[:min(len(head), 24)])), strings.TrimSpace(magic))
	case like != shape():
		return nil, errors.New("it is of another build, whose state has other parts")
	case sum != digest(body):
		return nil, errors.New("it is damaged: its checksum differs")
	}
	c := &Checkpoint{}
	d := gob.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(c); err != nil {
		return nil, err
	}
	for c.Table != nil {
		var part []enrich.ProcessState
		err := d.Decode(&part)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		c.Table.Processes = append(c.Table.Processes, part...)
	}
	if c.Host != machine() {
		return nil, errors.New("it is of another host")
	}
	return c, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// machine is the id of this machine, or "".
func machine() string {
	b, _ := os.ReadFile("/etc/machine-id")
	return strings.TrimSpace(string(b))
}

// Position is where an earlier run stopped reading a stream, if it was about the same.
func (s *State) Position(stream, about string) []byte {
	if s == nil || s.at == nil {
		return nil
	}
	if p := s.at.Sources[stream]; p.About == about {
		return p.At
	}
	return nil
}

// Raised reports whether the alert of that id has been handed on.
func (s *State) Raised(id string) bool { return s.seen[numberOf(id)] }

// Note remembers an alert that has been handed on: for the next checkpoint, and if it is
// kept where it goes, through a kill before that. The disk may have room for the id and
// none for the alert.
func (s *State) Note(id string, kept bool) {
	b := numberOf(id)
	s.seen[b] = true
	s.order = append(s.order, b)
	s.since++
	if !kept {
		return
	}
	_, err := s.raised.Write(b[:])
	s.failed(&s.ailing.raised, err)
}

func numberOf(id string) (b alertID) {
	if n, err := hex.Decode(b[:], []byte(id[:min(len(id), 2*len(b))])); err == nil && n == len(b) {
		return b
	}
	return sha256.Sum256([]byte(id))
}

// begin completes a checkpoint of this moment with the ids of what has been raised.
// Those that are raised until it is written go to a new file. One checkpoint is
// written at a time.
func (s *State) begin(c *Checkpoint) {
	if drop := len(s.order) - s.since - keepIDs; drop > 0 {
		for _, id := range s.order[:drop] {
			delete(s.seen, id)
		}
		s.order = append([]alertID(nil), s.order[drop:]...)
	}
	c.Host = machine()
	c.Raised = make([]byte, 0, len(s.order)*len(alertID{}))
	for _, id := range s.order {
		c.Raised = append(c.Raised, id[:]...)
	}
	s.since = 0
	if _, err := os.Stat(s.path("raised.old")); err == nil {
		s.reserveRaised()
		return // The last one could not be written. Ids that are in two files do no harm.
	}
	if err := os.Rename(s.path("raised"), s.path("raised.old")); err != nil {
		s.failed(&s.ailing.raised, err)
		return
	}
	f, err := s.openRaised()
	if err != nil {
		s.failed(&s.ailing.raised, err) // and go on with the file that has another name now
		return
	}
	s.raised.Close()
	s.raised = f
	s.reserveRaised()
}

// finish writes a checkpoint. It is called without any lock, for a disk may be slow.
// Without one, bytes is 0; an error beside one is about what comes next.
func (s *State) finish(c *Checkpoint) (bytes int64, err error) {
	if bytes, err = s.write(c); err != nil {
		return 0, err
	}
	err = os.Remove(s.path("raised.old"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return bytes, errors.Join(err, s.reserve(bytes))
}

// finished notes how that went.
func (s *State) finished(c *Checkpoint, bytes int64, err error) {
	if bytes > 0 {
		s.written.Checkpoints++
		s.written.Bytes, s.written.Time = bytes, c.Time
	}
	s.failed(&s.ailing.checkpoint, err)
}

func (s *State) write(c *Checkpoint) (int64, error) {
	f, err := own.Open(s.path("checkpoint.new"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return 0, err
	}
	n, err := writeCheckpoint(f, c)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Truncate(info.Size()) // A full disk has better use for the rest.
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = exchange(s.path("checkpoint.new"), s.path("checkpoint"))
	}
	if err != nil {
		return 0, err
	}
	if d, e := os.Open(s.dir); e == nil {
		d.Sync()
		d.Close()
	}
	return n, nil
}

// mostRoom is how much longer than the last one a checkpoint can be on a full disk, at
// most.
const mostRoom = 4 << 20

// reserve sees to it that there is room for checkpoints that are twice as long as the
// last one, in both files, whatever else the disk has to take.
func (s *State) reserve(last int64) error {
	want := last + min(last, mostRoom) + 4096
	for _, name := range []string{"checkpoint.new", "checkpoint"} {
		if err := s.room(name, want); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) room(name string, want int64) error {
	f, err := own.Open(s.path(name), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > 2*want {
		if err := f.Truncate(want); err != nil {
			return err
		}
	}
	return reserve(f, want)
}

// lengthDigits is how many digits the length of a checkpoint has in its first line.
const lengthDigits = 20

// writeCheckpoint writes a checkpoint's text, and returns how long it is without its
// first line. That is written last: until then it is none.
func writeCheckpoint(f *os.File, c *Checkpoint) (bytes int64, err error) {
	head := int64(len(magic) + len(shape()) + 1 + 2*sha256.Size + 1 + lengthDigits + 1)
	if _, err := f.Seek(head, io.SeekStart); err != nil {
		return 0, err
	}
	sum := sha256.New()
	to := bufio.NewWriterSize(io.MultiWriter(f, sum), 64<<10)
	g := gob.NewEncoder(to)
	rest, processes := *c, []enrich.ProcessState(nil)
	if c.Table != nil {
		table := *c.Table
		processes, table.Processes = table.Processes, nil
		rest.Table = &table
	}
	if err := g.Encode(&rest); err != nil {
		return 0, err
	}
	for part := range slices.Chunk(processes, processesAtOnce) {
		if err := g.Encode(part); err != nil {
			return 0, err
		}
	}
	if err := to.Flush(); err != nil {
		return 0, err
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%s%s %x %0*d\n", magic, shape(), sum.Sum(nil), lengthDigits, end-head), 0)
	return end - head, err
}

// failed notes whether something could be written. The run goes on: what a crash
// costs now is alerts that are repeated, not ones that are lost.
func (s *State) failed(last *string, err error) {
	was := *last
	if *last = ""; err == nil {
		return
	}
	s.written.Failures++
	if *last = err.Error(); *last != was {
		s.tell(slog.LevelError, "the state cannot be written; after a crash alerts would be repeated", "directory", s.dir, "reason", err)
	}
}

// Written says what has been written so far.
func (s *State) Written() Written {
	w := s.written
	w.Failing = cmp.Or(s.ailing.checkpoint, s.ailing.raised)
	return w
}

func (s *State) tell(level slog.Level, msg string, args ...any) {
	if s.log != nil {
		s.log.Log(context.Background(), level, msg, args...)
	}
}

// Close gives the directory up.
func (s *State) Close() error {
	var err error
	if s.raised != nil {
		err = s.raised.Close()
	}
	return errors.Join(err, s.lock.Close())
}
