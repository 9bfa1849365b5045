package store

import "time"

// A Head is the end of a chain: the number of its last row and the hash of it. Kept
// elsewhere, it proves later that nothing up to it was taken away or changed.
type Head struct {
	Seq int64
	Sum [32]byte
}

// A Fault is a row that is not what it was when it was written.
type Fault struct {
	Chain string // alerts, actions
	Seq   int64
	What  string // a sentence
}

// A Proof says what Verify looked at.
type Proof struct {
	Alerts, Actions             int  // rows that were read
	AlertsAnchor, ActionsAnchor Head // what retention has removed ends here; zero is nothing
	AlertsHead, ActionsHead     Head
	Faults                      int
}

// Heads are those of both chains.
type Heads struct{ Alerts, Actions Head }

// Retention says what is kept. Zero is all.
type Retention struct {
	Age     time.Duration // alerts that were stored longer ago go
	Bytes   int64         // the oldest alerts go until the database is no larger
	Actions time.Duration // actions that are longer ago go, but those that account for removed alerts
}

// Pruned says what Prune has removed.
type Pruned struct {
	Alerts, Actions int
	Oldest          time.Time // when the oldest alert that is left was stored
}
