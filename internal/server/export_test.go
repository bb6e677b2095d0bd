package server

// Patterns returns those of the API's routes.
func (s *Server) Patterns() []string {
	var out []string
	for _, r := range s.table() {
		out = append(out, r.pattern)
	}
	return out
}

// Excerpt and Harmless are tested by what they return.
var (
	Excerpt  = excerpt
	Harmless = harmless
)
