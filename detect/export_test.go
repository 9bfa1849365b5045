package detect

// InMemory sets how much waits in memory before it goes to disk, and returns what
// sets it back.
func InMemory(bytes int64) (back func()) {
	was := inMemory
	inMemory = bytes
	return func() { inMemory = was }
}
