package event

import (
	"slices"
	"strings"
)

// ParseQuery returns the parameters of a query string, in the order in which their
// names first appear, each with its values in order. If keep is not nil, it returns
// only the parameters named in keep.
//
// Names and values are decoded like those of an HTML form, with "+" for a space. No
// query is rejected: an invalid escape stays as it is, and bytes that are not UTF-8
// become U+FFFD.
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

// placesByName finds the place of a name in a list of parameters. A list of the
// usual length is searched; a longer one is indexed, since its length is the
// sender's choice.
type placesByName struct {
	index map[string]int
}

// of returns the index of name in params, or len(params) if it is not there; the
// caller then appends it.
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

// unescape decodes percent-encoding as far as it is well-formed.
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
