package caddymodule

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// unmistakable makes a string for a place where something is planted: 32 letters
// that stand nowhere else, the same in every run. They are of g to z, so that no
// hexadecimal number holds a piece of them, and letters, so that JSON, URLs and
// quotation marks leave them as they are.
func unmistakable(place string) string {
	sum := sha256.Sum256([]byte(place))
	for i, b := range sum {
		sum[i] = 'g' + b%20
	}
	return string(sum[:])
}

// A planting is what must be nowhere, cut into pieces, so that a part of it is
// found as well as the whole: eight bytes of it, or what another way of writing
// makes of some eight. Each piece is the key of what it is a piece of.
type planting struct {
	exact  pieces // as it is
	folded pieces // in small letters
	places map[string]bool
}

type pieces map[int]map[string]string // by length

func newPlanting() *planting {
	return &planting{exact: make(pieces), folded: make(pieces), places: make(map[string]bool)}
}

// The lengths of pieces: long enough that chance makes none of them, in a queue
// file or among the digits of a log.
const (
	pieceOfBytes   = 8
	pieceOfHex     = 16
	pieceOfBase64  = 12
	pieceOfNumbers = 32
)

func (p pieces) add(what, whole string, length int) {
	if p[length] == nil {
		p[length] = make(map[string]string)
	}
	for i := 0; i+length <= len(whole); i++ {
		if piece := whole[i : i+length]; p[length][piece] == "" {
			p[length][piece] = what
		}
	}
}

// text plants letters.
func (p *planting) text(what, value string) {
	p.folded.add(what, strings.ToLower(value), pieceOfBytes)
	p.encoded(what, []byte(value))
}

// place plants what unmistakable makes for a place, and returns it.
func (p *planting) place(what string) string {
	value := unmistakable(what)
	if !p.places[what] {
		p.places[what] = true
		p.text(what, value)
	}
	return value
}

// bytes plants a key, or a signature as it is before it is written.
func (p *planting) bytes(what string, value []byte) {
	p.exact.add(what, string(value), pieceOfBytes)
	p.encoded(what, value)
}

// base64 plants a value that is written so, and what it is.
func (p *planting) base64(what, value string) {
	p.exact.add(what, value, pieceOfBase64)
	p.folded.add(what, strings.ToLower(value), pieceOfBase64)
	if decoded, err := base64.StdEncoding.DecodeString(value); err == nil {
		p.bytes(what, decoded)
	}
}

// hex plants a signature.
func (p *planting) hex(what, value string) {
	if decoded, err := hex.DecodeString(value); err == nil && len(decoded) > 0 {
		p.bytes(what, decoded)
	}
}

// encoded plants the ways in which a program may write bytes.
func (p *planting) encoded(what string, value []byte) {
	p.folded.add(what+", in hexadecimal", hex.EncodeToString(value), pieceOfHex)
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		// Where it begins within what is encoded decides which letters come out.
		for before := range 3 {
			written := encoding.EncodeToString(append(make([]byte, before), value...))
			own := written[(8*before+5)/6 : 8*(before+len(value))/6]
			p.exact.add(what+", in base64", own, pieceOfBase64)
		}
	}
	for _, separator := range []string{" ", ","} {
		numbers := make([]string, len(value))
		for i, b := range value {
			numbers[i] = strconv.Itoa(int(b))
		}
		p.exact.add(what+", as numbers", strings.Join(numbers, separator), pieceOfNumbers)
	}
}

// found tells what of the planting a content holds, each once, with where it is.
func (p *planting) found(content []byte) map[string]string {
	// A queue's file is mostly room that nothing has been written to.
	content = bytes.Join(bytes.Split(content, make([]byte, 4096)), make([]byte, pieceOfNumbers))
	all := make(map[string]string)
	p.exact.find(content, content, all)
	// Letters of other alphabets may change their length and move what follows.
	p.folded.find(asciiLower(content), content, all)
	return all
}

func (p pieces) find(in, original []byte, all map[string]string) {
	for length, known := range p {
		// Most places are no beginning of a piece, which this says quicker.
		begins := make([]bool, 1<<20)
		for piece := range known {
			begins[beginning([]byte(piece))] = true
		}
		for i := 0; i+length <= len(in); i++ {
			if !begins[beginning(in[i:])] {
				continue
			}
			what, ok := known[string(in[i:i+length])]
			if !ok || all[what] != "" {
				continue
			}
			line := bytes.LastIndexByte(original[:i], '\n') + 1
			all[what] = fmt.Sprintf("%q in the line %.300q", original[i:i+length], original[max(line, i-2000):min(len(original), i+200)])
		}
	}
}

// beginning makes a number below 2^20 of four bytes.
func beginning(b []byte) uint32 { return binary.LittleEndian.Uint32(b) * 2654435761 >> 12 }

func asciiLower(b []byte) []byte {
	lower := bytes.Clone(b)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return lower
}

// The search finds what is planted however it is written, a part of it as well,
// and else nothing.
func TestPlantingIsFound(t *testing.T) {
	t.Parallel()
	p := newPlanting()
	text := p.place("patient text")
	key := sha256.Sum256([]byte("key"))
	p.bytes("key", key[:])
	p.base64("signing secret", base64.StdEncoding.EncodeToString([]byte("the bytes of a signing secret")))
	mac := sha256.Sum256([]byte("signature"))
	p.hex("signature", hex.EncodeToString(mac[:]))

	quoted := strconv.Quote("\x00" + text + "\xff")
	inBase64 := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	for _, test := range []struct{ name, what, content string }{
		{"whole", "patient text", "a " + text + " b"},
		{"eight letters", "patient text", "a" + text[11:19] + "b"},
		{"at the beginning", "patient text", text[:8]},
		{"at the end", "patient text", "a" + text[24:]},
		{"in capitals", "patient text", strings.ToUpper(text)},
		{"behind letters that fold to fewer bytes", "patient text", "İİİ" + text},
		{"quoted", "patient text", quoted},
		{"between escapes", "patient text", "%22" + text[4:12] + "%22"},
		{"in hexadecimal", "patient text, in hexadecimal", fmt.Sprintf("%x", text[5:13])},
		{"in hexadecimal capitals", "patient text, in hexadecimal", fmt.Sprintf("%X", text)},
		{"in base64", "patient text, in base64", inBase64([]byte(text))},
		{"in base64 behind a byte", "patient text, in base64", inBase64([]byte("a" + text))},
		{"in base64 behind two bytes", "patient text, in base64", inBase64([]byte("ab" + text + "c"))},
		{"in base64 of URLs", "patient text, in base64", base64.URLEncoding.EncodeToString([]byte("user:" + text))},
		{"as Go prints bytes", "patient text, as numbers", fmt.Sprintf("%v", []byte("ab"+text))},
		{"as a list in JSON", "patient text, as numbers", strings.ReplaceAll(fmt.Sprintf("%v", []byte(text)), " ", ",")},
		{"a key's bytes", "key", "\x00\x01" + string(key[7:15])},
		{"a key in base64", "key, in base64", inBase64(key[:])},
		{"a key in base64 of URLs", "key, in base64", base64.RawURLEncoding.EncodeToString(key[:])},
		{"a key in hexadecimal", "key, in hexadecimal", hex.EncodeToString(key[20:])},
		{"a secret as it is configured", "signing secret", inBase64([]byte("the bytes of a signing secret"))},
		{"a secret in small letters", "signing secret", strings.ToLower(inBase64([]byte("the bytes of a signing secret")))},
		{"a secret's bytes", "signing secret", "the bytes of"},
		{"a signature", "signature, in hexadecimal", hex.EncodeToString(mac[:])},
		{"a signature in capitals", "signature, in hexadecimal", strings.ToUpper(hex.EncodeToString(mac[:]))[9:31]},
		{"a signature's bytes", "signature", string(mac[:9])},
		{"a signature in base64", "signature, in base64", inBase64(mac[:])},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := p.found([]byte("first line\n" + test.content + "\nlast line"))
			if found[test.what] == "" {
				t.Errorf("it is not found in %q, but %v", test.content, found)
			}
		})
	}
	for name, content := range map[string]string{
		"seven letters": text[:7] + "-" + text[8:15], "other text": unmistakable("other text"),
		"an id": "soapnoteapi-0123456789abcdef0123456789abcdef", "a time": "1795391949.5881996",
	} {
		if found := p.found([]byte(content)); len(found) > 0 {
			t.Errorf("%s: found %v in %q", name, found, content)
		}
	}
}

// size is how many pieces there are.
func (p *planting) size() (n int) {
	for _, kind := range []pieces{p.exact, p.folded} {
		for _, known := range kind {
			n += len(known)
		}
	}
	return n
}
