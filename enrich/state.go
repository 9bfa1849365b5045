package enrich

import (
	"errors"

	"github.com/orlop/orlop/event"
)

// A State is the process table as plain data that encoding/gob can write: for a
// program that ends and goes on.
type State struct {
	Hosts     []HostState
	Audited   bool // the audit log of the Kubernetes API was seen
	Requests  []RequestState
	Entrances []EntranceState
	Forgotten int64
	Behind    bool
	Pods      []PodState
	Processes []ProcessState // the one touched longest ago first, but those that have ended before all others
}

// A RequestState is a request of the Kubernetes API for an exec.
type RequestState struct {
	At      int64
	ID      string
	Of      PodState
	User    string
	Command uint64
	TTY     int8
	Key     string
	Used    bool
}

// An EntranceState is a process in a container whose request was not seen.
type EntranceState struct {
	At      int64
	Key     string
	Of      PodState
	Command [3]uint64
	TTY     int8
}

// A PodState is a pod, or a container of one, and an id of it.
type PodState struct {
	ID, Namespace, Name, Container string
	Recent                         bool
}

func (p pod) state(id string, recent bool) PodState {
	return PodState{id, p.namespace, p.name, p.container, recent}
}

func (p PodState) pod() pod { return pod{p.Namespace, p.Name, p.Container} }

// A HostState is a host, and where on its circle of pids the kernel was.
type HostState struct {
	Name, Boot string
	Num        uint32
	Lap, Boots int32
	Pid        uint32
	Maybe      uint32
	Begin, Top uint32
	Sockets    []SocketState

	Kubernetes bool
	Containers []ContainerState
	Calls      []ClientState
	HandOvers  []HandOverState
	Visits     []VisitState
}

// A ContainerState is what is known of a container.
type ContainerState struct {
	ID, Namespace, UID string
	Cgroup             string
	Pods, CRI, Pause   int8
	Own, Begun, Recent bool
	Apart, Announced   bool
	Mount, Outer       uint32
	First              uint32
	Of                 PodState
	Commands           [4]uint64
	Began              [4]int64
	Runs               [4][8]int64
	Times              [4]int32
}

// A ClientState is what a client was asked to do to a container.
type ClientState struct {
	Container    string
	Exact, Enter bool
	Wrapped      bool
	Left         uint8
	Loose        bool
	ExecID       string
	Pid          uint32
	At, Until    int64
}

// A HandOverState is a call that init was asked to make.
type HandOverState struct {
	ID uint64
	At int64
}

// A VisitState is a container that somebody has entered.
type VisitState struct {
	Container, ID, Pod string
	Engine, Namespace  string
	Payload            uint64
	At                 int64
	Ended              bool
}

// A SocketState is a file that a container runtime listens at.
type SocketState struct{ Device, Inode, Runtime string }

// A ProcessState is an entry of the table.
type ProcessState struct {
	Host, Pid, Parent uint32
	Lap, Boots        int32
	Place             uint32

	First, Since, Seen, Start, End    int64
	Born, Ended, Said, Login, Glimpse bool
	Session, LoginUID                 uint64

	Executable, Name string
	Args             []event.Value
	Command, Entity  string
	StartText        event.Value
	Ancestry         []event.Value
	Entry            *EntryState

	Act   uint64
	ActAt int64
	Acts  bool
	Main  string
	Open  string

	SpokeTo [2]uint64
	SpokeAt [2]int64

	ReadAt int64
	Under  uint32

	Container        string
	Mount            uint32
	Joins            int64
	Outside, Entered bool
	Told, Visits     bool
	Verb, Makes      string
	ExecID           string
	Shim             *ShimState
}

// An EntryState is by which leader of a session a process came to run, and which way.
type EntryState struct {
	Pid          uint32
	Type, Entity string
	Start        event.Value
}

// A ShimState is what is known of a containerd-shim.
type ShimState struct {
	ID, Cgroup   string
	CRI, Started bool
	Waiting      []WaitingState
	Came         WaitingState
}

// A WaitingState is a container whose first program is to appear below a shim.
type WaitingState struct {
	ID     string
	Until  int64
	Exec   bool
	ExecID string
}

// State returns what x remembers. It does not change with x.
func (x *Enricher) State() *State {
	s := &State{Audited: x.audited, Processes: make([]ProcessState, 0, len(x.procs))}
	for _, r := range x.requests {
		s.Requests = append(s.Requests, RequestState{r.at, r.id, r.of.state("", false), r.user, r.command, int8(r.tty), r.key, r.used})
	}
	for _, n := range x.entrances {
		s.Entrances = append(s.Entrances, EntranceState{n.at, n.key, n.of.state("", false), n.command, int8(n.tty)})
	}
	s.Forgotten, s.Behind = x.forgotten, x.behind
	for id, p := range x.olderPods {
		s.Pods = append(s.Pods, p.state(id, false))
	}
	for id, p := range x.pods {
		s.Pods = append(s.Pods, p.state(id, true))
	}
	hosts := map[*host]bool{}
	for c := range x.all {
		hosts[c.host] = true // also one that a reboot has replaced
		p := ProcessState{
			Host: c.key.host, Pid: c.key.pid, Parent: c.ppid, Lap: c.at.lap, Boots: c.at.boot, Place: c.at.pid,
			First: c.first, Since: c.since, Seen: c.seen, Start: c.start, End: c.end,
			Born: c.born, Ended: c.ended, Said: c.said, Login: c.login, Glimpse: c.glimpse,
			Session: uint64(c.session), LoginUID: uint64(c.auid),
			Executable: c.exe, Name: c.name, Args: c.args, Command: c.command, Entity: c.entity,
			StartText: c.startText, Ancestry: c.ancestry, Act: c.act, ActAt: c.actAt, Acts: c.acts, Main: c.main, Open: c.open,
			SpokeTo: [2]uint64{c.spoke[0].to, c.spoke[1].to}, SpokeAt: [2]int64{c.spoke[0].at, c.spoke[1].at},
			Container: c.container, Mount: c.mnt, Joins: c.joins, Outside: c.outside, Entered: c.entered, Told: c.told, Visits: c.visits, ReadAt: c.readAt, Under: c.under, Verb: c.verb, Makes: c.makes, ExecID: c.execID,
		}
		if n := c.entry; n != nil {
			p.Entry = &EntryState{n.pid, n.how, n.entity, n.start}
		}
		if m := c.shim; m != nil {
			p.Shim = &ShimState{ID: m.id, Cgroup: m.cgroup, CRI: m.cri, Started: m.started, Came: WaitingState{m.came.id, m.came.until, m.came.exec, m.came.execID}}
			for _, w := range m.waiting {
				p.Shim.Waiting = append(p.Shim.Waiting, WaitingState{w.id, w.until, w.exec, w.execID})
			}
		}
		s.Processes = append(s.Processes, p)
	}
	for h := range hosts {
		hs := HostState{
			Name: h.name, Boot: h.boot, Num: h.num, Lap: h.lap, Boots: h.place.boot, Pid: h.pid,
			Maybe: h.maybe, Begin: h.begin, Top: h.top,
		}
		for _, f := range h.sockets {
			hs.Sockets = append(hs.Sockets, SocketState{f.device, f.inode, f.runtime})
		}
		hs.Kubernetes = h.kubernetes
		for _, k := range h.older {
			if h.containers[k.id] == nil {
				hs.Containers = append(hs.Containers, k.state(false))
			}
		}
		for _, k := range h.containers {
			hs.Containers = append(hs.Containers, k.state(true))
		}
		for _, c := range h.calls {
			hs.Calls = append(hs.Calls, ClientState{c.container, c.exact, c.enter, c.wrapped, c.left, c.loose, c.execID, c.pid, c.at, c.until})
		}
		for _, o := range h.overs {
			hs.HandOvers = append(hs.HandOvers, HandOverState{o.id, o.at})
		}
		for _, v := range h.visits {
			hs.Visits = append(hs.Visits, VisitState{v.container, v.id, v.pod, v.engine, v.namespace, v.payload, v.at, v.ended})
		}
		s.Hosts = append(s.Hosts, hs)
	}
	return s
}

// all yields the processes, the one that is missed the least first.
func (x *Enricher) all(yield func(*proc) bool) {
	for _, ring := range []*proc{&x.over, &x.lru} {
		for c := ring.prev; c != ring; c = c.prev {
			if !yield(c) {
				return
			}
		}
	}
}

func (k *container) state(recent bool) ContainerState {
	s := ContainerState{
		ID: k.id, Namespace: k.namespace, UID: k.uid, Cgroup: k.cgroup,
		Pods: int8(k.pods), CRI: int8(k.cri), Pause: int8(k.pause), Own: k.own, Begun: k.begun, Apart: k.apart, Announced: k.announced, Mount: k.mnt, Outer: k.outer, First: k.first, Recent: recent, Of: k.of.state("", false),
	}
	for i, h := range k.habits {
		s.Commands[i], s.Began[i], s.Runs[i], s.Times[i] = h.command, h.began, h.ran, h.times
	}
	return s
}

// Restore makes x, which has seen nothing yet, go on from s. After an error x is
// not to be used.
func (x *Enricher) Restore(s *State) error {
	x.audited, x.forgotten, x.behind = s.Audited, s.Forgotten, s.Behind
	for _, r := range s.Requests {
		x.requests = append(x.requests, request{r.At, r.ID, r.Of.pod(), r.User, r.Command, answer(r.TTY), r.Key, r.Used})
		x.known += x.requests[len(x.requests)-1].size()
	}
	for _, n := range s.Entrances {
		x.entrances = append(x.entrances, entrance{n.At, n.Key, n.Of.pod(), n.Command, answer(n.TTY)})
		x.known += x.entrances[len(x.entrances)-1].size()
	}
	x.pods, x.olderPods = map[string]pod{}, map[string]pod{}
	for _, p := range s.Pods {
		if p.Recent {
			x.pods[p.ID] = p.pod()
		} else {
			x.olderPods[p.ID] = p.pod()
		}
		x.known += podBytes + len(p.ID) + p.pod().size()
	}
	hosts := map[uint32]*host{}
	for _, hs := range s.Hosts {
		if hosts[hs.Num] != nil {
			return errState
		}
		h := &host{name: hs.Name, boot: hs.Boot, num: hs.Num}
		h.cursor = cursor{place: place{hs.Lap, hs.Boots, hs.Pid}, maybe: hs.Maybe, begin: hs.Begin, top: hs.Top}
		for _, f := range hs.Sockets {
			h.sockets = append(h.sockets, socketFile{f.Device, f.Inode, f.Runtime})
			x.hold(h, h.sockets[len(h.sockets)-1].size())
		}
		h.kubernetes = hs.Kubernetes
		h.containers, h.older = map[string]*container{}, map[string]*container{}
		for _, k := range hs.Containers {
			c := &container{
				id: k.ID, namespace: k.Namespace, uid: k.UID, cgroup: k.Cgroup,
				pods: answer(k.Pods), cri: answer(k.CRI), pause: answer(k.Pause), own: k.Own, begun: k.Begun, apart: k.Apart, announced: k.Announced, mnt: k.Mount, outer: k.Outer, first: k.First, of: k.Of.pod(),
			}
			for i := range c.habits {
				c.habits[i] = habit{k.Commands[i], k.Times[i], k.Began[i], k.Runs[i]}
			}
			x.hold(h, c.size())
			if k.Recent {
				h.containers[k.ID] = c
			} else {
				h.older[k.ID] = c
			}
		}
		for _, c := range hs.Calls {
			h.calls = append(h.calls, clientCall{c.Container, c.Exact, c.Enter, c.Wrapped, c.Left, c.Loose, c.ExecID, c.Pid, c.At, c.Until})
			x.hold(h, h.calls[len(h.calls)-1].size())
		}
		for _, o := range hs.HandOvers {
			h.overs = append(h.overs, handOver{o.ID, o.At})
			x.hold(h, handOverSize)
		}
		for _, v := range hs.Visits {
			h.visits = append(h.visits, visit{v.Container, v.ID, v.Pod, v.Payload, v.Engine, v.Namespace, v.At, v.Ended})
			x.hold(h, h.visits[len(h.visits)-1].size())
		}
		hosts[hs.Num] = h
		x.nextHost = max(x.nextHost, hs.Num+1)
		if other := x.hosts[h.name]; other == nil || other.num < h.num { // the later boot
			x.hosts[h.name] = h
		}
	}
	for i := range s.Processes {
		p := &s.Processes[i]
		c := &proc{
			key: key{p.Host, p.Pid}, host: hosts[p.Host], ppid: p.Parent, at: place{p.Lap, p.Boots, p.Place},
			first: p.First, since: p.Since, seen: p.Seen, start: p.Start, end: p.End,
			born: p.Born, ended: p.Ended, said: p.Said, login: p.Login, glimpse: p.Glimpse,
			session: id(p.Session), auid: id(p.LoginUID),
			exe: x.word(p.Executable), name: x.word(p.Name), entity: p.Entity,
			startText: p.StartText, ancestry: p.Ancestry, act: p.Act, actAt: p.ActAt, acts: p.Acts, main: x.word(p.Main), open: p.Open,
			spoke:     [2]spoken{{p.SpokeTo[0], p.SpokeAt[0]}, {p.SpokeTo[1], p.SpokeAt[1]}},
			container: x.word(p.Container), mnt: p.Mount, joins: p.Joins, outside: p.Outside, entered: p.Entered, told: p.Told, visits: p.Visits, readAt: p.ReadAt, under: p.Under, execID: x.word(p.ExecID), verb: x.word(p.Verb), makes: x.word(p.Makes),
		}
		if c.host == nil || x.procs[c.key] != nil {
			return errState
		}
		if len(p.Args) > 0 {
			x.setArgs(c, event.List(p.Args)) // so that they share their text again
		}
		if n := p.Entry; n != nil {
			c.entry = &entry{n.Pid, n.Type, n.Entity, n.Start}
		}
		if m := p.Shim; m != nil {
			c.shim = &shim{id: m.ID, cgroup: x.word(m.Cgroup), cri: m.CRI, started: m.Started, came: waiting{m.Came.ID, m.Came.Until, m.Came.Exec, m.Came.ExecID}}
			for _, w := range m.Waiting {
				c.shim.waiting = append(c.shim.waiting, waiting{w.ID, w.Until, w.Exec, w.ExecID})
			}
		}
		c.host.procs++
		x.procs[c.key] = c
		x.link(c)
		x.weigh(c)
	}
	return nil
}

var errState = errors.New("enrich: the state is not one of a process table")
