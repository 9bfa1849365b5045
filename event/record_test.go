package event_test

import (
	"bytes"
	"encoding/gob"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
)

// A record reads back as the event it was made of, also by another schema.
func TestRecordReadsBack(t *testing.T) {
	s := event.NewSchema()
	name, args, derived, list := s.Field("process.name"), s.Field("process.args"), s.Field("orlop.x"), s.Field("orlop.y")
	var e event.Event
	doc := []byte(`{"@timestamp":"2026-05-01T10:00:00Z","process":{"name":"ctr","args":["a","b",1]}}`)
	if err := event.NewDecoder(s).Decode(doc, &e); err != nil {
		t.Fatal(err)
	}
	e.Time = e.Time.Add(time.Nanosecond)
	e.Origin = event.Origin{Source: "audit.log", Offset: 7}
	e.Set(derived, event.Float(1.5))
	e.Set(list, event.List([]event.Value{event.String("a\xff"), event.Int(1 << 62), event.Bool(true)}))
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(e.Clone().Record(s)); err != nil {
		t.Fatal(err)
	}
	var r event.Record
	if err := gob.NewDecoder(&b).Decode(&r); err != nil {
		t.Fatal(err)
	}
	other := event.NewSchema()
	other.Field("first") // so that the numbers differ
	var got event.Event
	f := func(name string, want event.Value) {
		t.Helper()
		if v := got.Get(other.Field(name)); !v.Equal(want) {
			t.Errorf("%s is %s, want %s", name, v.Text(), want.Text())
		}
	}
	for _, n := range []string{"process.name", "process.args", "orlop.x", "orlop.y"} {
		other.Field(n)
	}
	if err := event.NewDecoder(other).Restore(&r, &got); err != nil {
		t.Fatal(err)
	}
	f("process.name", e.Get(name))
	f("process.args", e.Get(args))
	f("orlop.x", e.Get(derived))
	f("orlop.y", e.Get(list))
	if !got.Time.Equal(e.Time) || got.Origin != e.Origin || !bytes.Equal(got.Raw, doc) {
		t.Errorf("%v %v %s", got.Time, got.Origin, got.Raw)
	}
	var names []string
	for _, f := range got.Derived() {
		names = append(names, other.Name(f))
	}
	if !slices.Equal(names, []string{"orlop.x", "orlop.y"}) {
		t.Errorf("derived %q", names)
	}
}

// What is no value is an error, whatever it claims to be long.
func TestValueBinary(t *testing.T) {
	values := []event.Value{
		{}, event.Null(), event.Bool(true), event.Int(-1), event.Float(math.Inf(1)), event.String(""), event.String("x"),
		event.List([]event.Value{event.String("a"), event.Int(2)}),
	}
	for _, v := range values {
		b, err := v.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got event.Value
		if err := got.UnmarshalBinary(b); err != nil || !got.Equal(v) {
			t.Errorf("%v %s: got %v %s, %v", v.Kind(), v.Text(), got.Kind(), got.Text(), err)
		}
		for n := range b {
			if err := got.UnmarshalBinary(b[:n]); err == nil {
				t.Errorf("%s: the first %d bytes are taken for a value", v.Text(), n)
			}
		}
		if err := got.UnmarshalBinary(append(b, 0)); err == nil {
			t.Errorf("%s: what follows is not seen", v.Text())
		}
		if b, err = v.AppendBinary([]byte("before")); err != nil {
			t.Fatal(err)
		}
		b = append(b, "after"...)
		var e event.Event
		got, rest, err := e.ReadValue(b[len("before"):])
		clear(b[:len(b)-len("after")]) // what is read is borrowed from e, not from b
		if err != nil || !got.Equal(v) || string(rest) != "after" {
			t.Errorf("%v %s: got %v %s before %q, %v", v.Kind(), v.Text(), got.Kind(), got.Text(), rest, err)
		}
	}
	for _, b := range []string{"\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x06\xff\xff\xff\xff\x0f", "\x07", "\x06\x01\x01", "\x06\x02\x00\x00"} {
		var v event.Value
		if err := v.UnmarshalBinary([]byte(b)); err == nil {
			t.Errorf("%q is taken for a value", b)
		}
		if _, _, err := new(event.Event).ReadValue([]byte(b)); err == nil {
			t.Errorf("%q is read as a value", b)
		}
	}
}
