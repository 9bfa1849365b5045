package enrich

import "github.com/orlop/orlop/event"

// fill sets a field that the document lacks.
func (x *Enricher) fill(e *event.Event, f event.Field, v event.Value) {
	if e.Get(f).Kind() != event.KindMissing {
		return
	}
	e.Set(f, v)
	x.stats.Filled++
}

func (x *Enricher) fillText(e *event.Event, f event.Field, s string) {
	if s != "" {
		x.fill(e, f, event.String(s))
	}
}

// fillOwn fills what e lacks of its own process, whose entry is c, or nil.
func (x *Enricher) fillOwn(s *sight, c *proc) {
	e, f := s.e, &x.f
	if args := e.Get(f.args); args.Exists() {
		if e.Get(f.commandLine).Kind() == event.KindMissing {
			if c != nil && sameArgs(c.args, args) {
				x.fill(e, f.commandLine, event.String(c.command))
			} else {
				x.buf = join(x.buf[:0], args)
				x.fill(e, f.commandLine, event.String(e.Text(x.buf)))
			}
		}
		x.fill(e, f.argsCount, event.Int(int64(args.Len())))
	}
	if c != nil && s.kind&(execed|seeded) == 0 && (s.t == 0 || s.t >= c.since) {
		x.fillText(e, f.exe, c.exe)
		if s.exe == "" || s.exe == c.exe {
			x.fillText(e, f.name, c.title())
		}
	}
	if s.exe != "" {
		x.fillText(e, f.name, base(s.exe))
	}
	if c == nil {
		return
	}
	x.fillText(e, f.entity, c.entity)
	x.fillText(e, f.container, c.container)
	if len(c.ancestry) > 0 {
		x.fill(e, f.ancestry, event.List(c.ancestry))
	}
}

// fillParent fills what e lacks of its parent p.
func (x *Enricher) fillParent(s *sight, p *proc) {
	e, f := s.e, &x.f
	if s.t == 0 || s.t >= p.since {
		x.fillText(e, f.parentExe, p.exe)
		x.fillText(e, f.parentName, p.title())
		if p.args != nil {
			x.fill(e, f.parentArgs, event.List(p.args))
			x.fill(e, f.parentArgsCount, event.Int(int64(len(p.args))))
			x.fill(e, f.parentCommandLine, event.String(p.command))
		}
	}
	x.fillText(e, f.parentEntity, p.entity)
	if p.startText.Exists() {
		x.fill(e, f.parentStart, p.startText)
	}
}

// title is the name of the program: of its file, else what the source calls it.
func (p *proc) title() string {
	if p.exe != "" {
		return base(p.exe)
	}
	return p.name
}
