package chain

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The names of the fields that the package adds to each line, and of the message.
const (
	fieldNode    = "node"
	fieldSeq     = "seq"
	fieldChain   = "chain"
	fieldMessage = "msg"
	fieldDropped = "dropped"
)

// A Digest is the hash of a line's content: of each field that Scribegate writes, however the
// log's encoder formats the line. The MAC of a line is that of its digest.
type Digest [sha256.Size]byte

// A member is a field of a line. Text is the string itself, or another value in the
// canonical JSON of RFC 8785.
type member struct {
	key    string
	text   string
	quoted bool // whether it is a string
}

// digestOf returns the digest of a line. It sorts the members.
func digestOf(members []member) Digest {
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.key, b.key) })
	b := make([]byte, 0, 512)
	b = append(b, "scribegate audit line v1\x00"...)
	for _, m := range members {
		kind := byte('j')
		if m.quoted {
			kind = 's'
		}
		b = append(appendSized(b, m.key), kind)
		b = appendSized(b, m.text)
	}
	return sha256.Sum256(b)
}

func appendSized(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// plain returns a field that every encoder writes in the same way: a duration as seconds, a time
// as text, and text as valid UTF-8.
func plain(f zap.Field) zap.Field {
	if f.Type == zapcore.StringType {
		f.String = validUTF8(f.String)
		return f
	}
	if f.Type == zapcore.DurationType {
		return zap.Float64(f.Key, time.Duration(f.Integer).Seconds())
	}
	if f.Type == zapcore.TimeType || f.Type == zapcore.TimeFullType {
		values := zapcore.NewMapObjectEncoder()
		f.AddTo(values)
		at, _ := values.Fields[f.Key].(time.Time)
		return zap.String(f.Key, at.UTC().Format(time.RFC3339Nano))
	}
	return f
}

// validUTF8 replaces each invalid byte, as zap does.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// memberOf returns the member for a plain field, and whether the field is written.
func memberOf(f zap.Field) (m member, written bool) {
	if f.Type == zapcore.SkipType {
		return m, false
	}
	if f.Type == zapcore.StringType {
		return member{f.Key, f.String, true}, true
	}
	if f.Type == zapcore.Int64Type { // a short cut for the most common numbers
		return member{f.Key, strconv.FormatInt(f.Integer, 10), false}, true
	}
	values := zapcore.NewMapObjectEncoder()
	f.AddTo(values)
	text, err := json.Marshal(values.Fields[f.Key])
	if err != nil {
		return member{f.Key, "", false}, true // no line of the trail has such a value
	}
	return memberOfJSON(f.Key, text), true
}

// memberOfJSON returns the member for a value in JSON.
func memberOfJSON(key string, value jsontext.Value) member {
	value = value.Clone()
	if value.Kind() == '"' {
		if text, err := jsontext.AppendUnquote(nil, value); err == nil {
			return member{key, string(text), true}
		}
	}
	_ = value.Canonicalize() // an invalid value stays as it is
	return member{key, string(value), false}
}
