package verifier

import "bytes"

// names is a set of member names. A few, as payloads usually have, are kept in an
// array; more are kept in a map, since their number is the sender's choice.
type names struct {
	few  [12][]byte
	n    int
	many map[string]struct{}
}

// add reports whether name is new.
func (s *names) add(name []byte) bool {
	for _, other := range s.few[:s.n] {
		if bytes.Equal(other, name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, ok := s.many[string(name)]; ok {
		return false
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	s.many[string(name)] = struct{}{}
	return true
}
