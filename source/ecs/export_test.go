package ecs

// Memory is how many bytes the batch has taken for itself.
func (t *Batch) Memory() int { return cap(t.buf) }
