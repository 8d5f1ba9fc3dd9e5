package event

import (
	"slices"
	"strings"
)

// ParseQuery reads the parameters of a query string, in the order in which
// their names first appear, each with its values in order. Where keep is not
// nil, only the parameters that it names are returned.
//
// Names and values are decoded as an HTML form's are, "+" being a space. A
// query is never refused for what is in it: an escape that is none stays as it
// came, and what is not UTF-8 becomes U+FFFD.
func ParseQuery(raw string, keep []string) []Param {
	var params []Param
	places := placesByName{}
	for piece := range strings.SplitSeq(raw, "&") {
		if piece == "" {
			continue
		}
		name, value, _ := strings.Cut(piece, "=")
		name = unescape(name)
		if keep != nil && !slices.Contains(keep, name) {
			continue
		}
		i := places.of(params, name)
		if i == len(params) {
			params = append(params, Param{Name: name})
		}
		params[i].Values = append(params[i].Values, unescape(value))
	}
	return params
}

// placesByName tells where in a list of parameters a name stands. A list of
// the usual length is searched; a longer one is indexed, since its length is
// the sender's choice.
type placesByName struct {
	index map[string]int
}

// of returns the place of name in params, or len(params), where it then must
// be put.
func (p *placesByName) of(params []Param, name string) int {
	const searched = 16
	if len(params) < searched {
		if i := slices.IndexFunc(params, func(q Param) bool { return q.Name == name }); i >= 0 {
			return i
		}
		return len(params)
	}
	if p.index == nil {
		p.index = make(map[string]int)
		for i, q := range params {
			p.index[q.Name] = i
		}
	}
	i, ok := p.index[name]
	if !ok {
		i = len(params)
		p.index[name] = i
	}
	return i
}

// unescape undoes percent-encoding as far as it is well-formed.
func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	default:
		return c - 'A' + 10
	}
}
