package store

// A Notice says that something has changed. It has numbers only: what they stand for is
// asked for.
type Notice struct {
	Alerts  int64 // Seq of the last alert
	Actions int64 // Seq of the last action
}
