package chain

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// LoggerName is the name of the logger of the audit trail.
const LoggerName = "scribegate.audit"

// A Line is a line of an audit trail, as a log has it.
type Line struct {
	Node    string
	Seq     int64
	Message string
	Dropped int64 // of a line about missing lines
	Link    Link
	Digest  Digest

	// Wrong is what is wrong with a field that the MAC does not cover; "" if nothing is.
	Wrong string
}

// ErrOther means that a line is not one of the audit trail.
var ErrOther = errors.New("it is not a line of the audit trail")

// The members that the log's encoder adds. The MAC does not cover them.
const (
	memberLevel  = "level"
	memberTime   = "ts"
	memberLogger = "logger"
)

// ParseLine returns the line of the audit trail in some JSON, without the members in ignored,
// which the log adds. It returns ErrOther for JSON that is not a line of the trail, and another
// error for one that lacks a field of the chain or is not JSON.
func ParseLine(text []byte, ignored ...string) (l Line, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	var level, ts, logger jsontext.Value
	members := make([]member, 0, 16)
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return l, cannotRead(err)
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return l, cannotRead(err)
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return l, cannotRead(err)
		}
		if slices.Contains(ignored, key) {
			continue
		}
		switch key {
		case memberLevel:
			level = value.Clone()
		case memberTime:
			ts = value.Clone()
		case memberLogger:
			logger = value.Clone()
		default:
			members = append(members, memberOfJSON(key, value))
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return l, cannotRead(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return l, errors.New("there is text behind it")
	}
	if memberOfJSON("", logger).text != LoggerName {
		return l, ErrOther
	}
	if err := l.read(members); err != nil {
		return l, err
	}
	l.Digest = digestOf(members)
	l.check(level, ts)
	return l, nil
}

func cannotRead(err error) error {
	if err == nil {
		err = errors.New("it is not an object")
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		err = e.Err // without the place, which quotes the line
	}
	return fmt.Errorf("it is not JSON: %w", err)
}

// read reads the fields of the chain, and replaces the link by the part of it that the MAC covers.
func (l *Line) read(members []member) error {
	found := make(map[string]bool)
	for i := range members {
		var ok bool
		m := &members[i]
		switch m.key {
		case fieldNode:
			l.Node, ok = m.text, m.quoted
		case fieldMessage:
			l.Message, ok = m.text, m.quoted
		case fieldSeq:
			l.Seq, ok = m.count()
		case fieldChain:
			l.Link, ok = ParseLink(m.text)
			m.text = l.Link.begin()
		case fieldDropped:
			l.Dropped, ok = m.count()
		default:
			continue
		}
		if !ok {
			return fmt.Errorf("its field %q is not one of a line of the audit trail", m.key)
		}
		found[m.key] = true
	}
	for _, key := range []string{fieldNode, fieldSeq, fieldChain, fieldMessage} {
		if !found[key] {
			return fmt.Errorf("it has no field %q", key)
		}
	}
	if l.Message != LinesDropped {
		l.Dropped = 0
	}
	if l.Dropped >= l.Seq {
		return fmt.Errorf("its field %q is not one of a line of the audit trail", fieldDropped)
	}
	return nil
}

// count returns the positive number in a member.
func (m member) count() (int64, bool) {
	n, err := strconv.ParseInt(m.text, 10, 64)
	return n, err == nil && n > 0 && !m.quoted
}

// check compares the members that the encoder adds with what they must be.
func (l *Line) check(level, ts jsontext.Value) {
	if level != nil && !strings.EqualFold(memberOfJSON("", level).text, "info") {
		l.Wrong = "its level was changed"
	}
	if ts != nil && !sameTime(memberOfJSON("", ts), l.Link.Time()) {
		l.Wrong = "its ts is not the time in its chain, or is in a format that is not known"
	}
}

// The formats of time that Caddy's encoders have a name for.
var timeFormats = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.000Z0700", "2006/01/02 15:04:05", "2006/01/02 15:04:05.000", "2006/01/02 15:04:05.000000000", "02/Jan/2006:15:04:05 -0700",
}

// maxZone is the largest distance of a local time from UTC.
const maxZone = 14 * time.Hour

// sameTime reports whether a time that an encoder has written can be at. A time without a zone is
// that of any zone.
func sameTime(ts member, at time.Time) bool {
	if !ts.quoted {
		n, err := strconv.ParseFloat(ts.text, 64)
		if err != nil {
			return false
		}
		for _, unit := range []float64{1e9, 1e6, 1} { // seconds, milliseconds, nanoseconds
			if math.Abs(n*unit-float64(at.UnixNano())) < 2e6 {
				return true
			}
		}
		return false
	}
	for _, format := range timeFormats {
		t, err := time.Parse(format, ts.text)
		if err != nil {
			continue
		}
		tolerance := time.Second
		if !strings.Contains(format, "07") {
			tolerance += maxZone
		}
		return t.Sub(at).Abs() < tolerance
	}
	return false
}
