package verifier

import (
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// CheckSecret returns an error for a secret or a header's value that is certainly a
// mistake, such as the content of a file with a byte order mark. The error says what
// is wrong and what to do, and quotes nothing of the value; its text begins with "it".
func CheckSecret(value string) error {
	s, _ := findSlip(value)
	if s == nil {
		return nil
	}
	return errors.New("it " + s.says)
}

// WithoutScheme returns a header's value without the authentication scheme in
// front of it, which is not a secret: Bearer, Basic or Token.
func WithoutScheme(value string) string { return value[len(schemePrefix.FindString(value)):] }

// IsScheme reports whether a value is an authentication scheme and nothing else.
func IsScheme(value string) bool { return bareScheme.MatchString(value) }

var (
	schemePrefix = regexp.MustCompile(`(?i)^(bearer|basic|token) `)
	bareScheme   = regexp.MustCompile(`(?i)^\s*(bearer|basic|token)\s*$`)

	// A base64 or base32 text has "=" at its end only. If nothing follows the
	// "=", only a text with an underscore is taken for a name.
	assignment = regexp.MustCompile(`^(export +)?([A-Z_][A-Z0-9_]*=[^=]|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+=$)`)

	// References that shells, Windows and Caddy replace by a value.
	reference = regexp.MustCompile(`^(\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%|env\.[A-Za-z_][A-Za-z0-9_]*|file\..*/.*)$`)
)

const byteOrderMark = "\uFEFF"

// A slip is a common mistake in writing a secret.
type slip struct {
	says string // what is wrong and what to do; its subject is the value

	// repair returns the value as it may have been meant, or the value itself if
	// it does not have the slip. It is nil if only the user knows what was meant.
	repair func(value string) string
	// found reports whether the value has the slip. It is nil if repair shows that.
	found func(value string) bool
}

// slips are in an order in which repairing one lets the next be found.
var slips = []*slip{
	{
		says:  `is an authentication scheme without a secret behind it; put the whole value of a header in quotes, as in: header Authorization "Bearer {env.TOKEN}"`,
		found: IsScheme,
	},
	{says: "has the authentication scheme twice; remove one of them", repair: func(v string) string {
		bare := WithoutScheme(v)
		return v[:len(v)-len(bare)] + WithoutScheme(bare)
	}},
	{says: "holds NUL bytes, as a file in UTF-16 does; save it as UTF-8 without a byte order mark", repair: fromUTF16},
	{says: "begins with a byte order mark; save it as UTF-8 without one", repair: func(v string) string {
		return strings.TrimPrefix(v, byteOrderMark)
	}},
	{says: "has a line break in the middle; keep only the secret, in one line", repair: func(v string) string {
		if bare := strings.TrimSpace(v); strings.ContainsAny(bare, "\r\n") {
			return strings.FieldsFunc(bare, func(r rune) bool { return r == '\r' || r == '\n' })[0]
		}
		return v
	}},
	{says: "has white space or a line break at its beginning or end; remove it", repair: strings.TrimSpace},
	{says: "is enclosed in quotes, which would be part of it; remove them", repair: withoutQuotes},
	{says: "begins with the name of a variable and an equals sign; keep only the text after the equals sign", repair: func(v string) string {
		if assignment.MatchString(v) {
			_, v, _ = strings.Cut(v, "=")
		}
		return v
	}},
	{says: "is the name of a variable or a file and not its value; write it as {env.NAME} or {file./path}", found: reference.MatchString},
	{says: "contains a control character or another invisible character; copy it again, as plain text", repair: withoutInvisible},
}

// find returns the value as it may have been meant, and whether it has the slip.
func (s *slip) find(value string) (meant string, found bool) {
	if s.found != nil {
		return value, s.found(value)
	}
	meant = s.repair(value)
	return meant, meant != value
}

// findSlip returns the first slip in a value, or in the part behind its scheme, and
// the value without the slip. Without a slip s is nil.
func findSlip(value string) (s *slip, meant string) {
	bare := WithoutScheme(value)
	scheme := value[:len(value)-len(bare)]
	for _, s := range slips {
		if meant, found := s.find(value); found {
			return s, meant
		}
		if meant, found := s.find(bare); found {
			return s, scheme + meant
		}
	}
	return nil, value
}

// meantSecret returns a value without its slips, and the slips. Each of them may
// have hidden the next.
func meantSecret(value string) (meant string, found []*slip) {
	for {
		s, next := findSlip(value)
		if s == nil {
			return value, found
		}
		found = append(found, s)
		if next == value {
			return value, found
		}
		value = next
	}
}

// fromUTF16 decodes a value with NUL bytes as the content of a file in UTF-16,
// without one line end at its end.
func fromUTF16(v string) string {
	if !strings.Contains(v, "\x00") {
		return v
	}
	var order binary.ByteOrder = binary.LittleEndian
	if v[0] == 0 || v[0] == 0xFE {
		order = binary.BigEndian
	}
	var units []uint16
	for b := []byte(v); len(b) > 1; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	text := strings.TrimPrefix(string(utf16.Decode(units)), byteOrderMark)
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	return strings.ReplaceAll(text, "\x00", "")
}

func withoutQuotes(v string) string {
	for _, pair := range [][2]string{{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"“", "”"}, {"‘", "’"}, {"«", "»"}} {
		if len(v) >= len(pair[0])+len(pair[1]) && strings.HasPrefix(v, pair[0]) && strings.HasSuffix(v, pair[1]) {
			return v[len(pair[0]) : len(v)-len(pair[1])]
		}
	}
	return v
}

func withoutInvisible(v string) string {
	if !strings.ContainsFunc(v, invisible) {
		return v // Map would replace what is not UTF-8
	}
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, v)
}

// invisible reports whether a character cannot be seen, the space aside. No
// header can hold a control character.
func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.IsSpace(r) && r != ' '
}
