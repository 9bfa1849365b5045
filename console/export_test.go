package console

import "time"

// Sample takes a sample of the sources, as the console does by itself.
func (s *Server) Sample(at time.Time) { s.course.add(at, s.o.Sources()) }
