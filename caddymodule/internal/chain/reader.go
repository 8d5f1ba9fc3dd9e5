package chain

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	maxLine   = 32 << 20 // bytes of a line that is read
	batchSize = 4096     // proofs that are checked at once
)

// A Checker returns a verdict for each proof.
type Checker func([]Proof) ([]Verdict, error)

// A Trail is an audit trail that is being verified.
type Trail struct {
	check   Checker
	ignored []string
	files   []string
	nodes   map[string]*node
	batch   []Line
	places  []place
	report  Report
}

// A place is where a line is.
type place struct {
	file int
	line int
}

// NewTrail returns a trail without lines. The members that are named in ignored were added by the
// log, and not by Scribegate.
func NewTrail(check Checker, ignored []string) *Trail {
	return &Trail{
		check: check, ignored: ignored, nodes: make(map[string]*node),
		report: Report{Nodes: []NodeReport{}, Findings: []Finding{}, Notes: []Note{}, damaged: make(map[string]bool)},
	}
}

// Read reads a log that has lines of the trail, and maybe others. It may be compressed with gzip
// or zstd.
func (t *Trail) Read(name string, r io.Reader) error {
	t.files = append(t.files, name)
	at := place{file: len(t.files) - 1}
	text, end, err := decompressed(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer end()
	last := make(map[string]int64) // the newest seq of each node
	for {
		at.line++
		line, err := readLine(text)
		if len(bytes.TrimSpace(line)) > 0 {
			if err := t.add(line, at, last, err == nil); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return t.flush()
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
}

// decompressed returns the text of a log, and a function that ends its decompression.
func decompressed(r *bufio.Reader) (text *bufio.Reader, end func(), err error) {
	begin, _ := r.Peek(4) // an error is that of reading
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		return bufio.NewReaderSize(z, 64<<10), func() {}, nil
	case bytes.HasPrefix(begin, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return bufio.NewReaderSize(z, 64<<10), z.Close, nil
	}
	return r, func() {}, nil
}

// readLine returns the next line. It returns io.EOF with a last line that has no end.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > maxLine {
			return nil, errors.New("a line has more than 32 MiB; is it a log in JSON?")
		}
	}
}

// add adds a line of a log.
func (t *Trail) add(text []byte, at place, last map[string]int64, ended bool) error {
	l, err := ParseLine(text, t.ignored...)
	if err != nil && !errors.Is(err, ErrOther) {
		if found, rest := t.search(text); found {
			t.report.note(Note{Kind: NoteTorn, File: t.files[at.file], Line: at.line, Text: "other text is in front of the line, such as a part of one that could not be written"})
			l, err = rest, nil
		}
	}
	switch {
	case errors.Is(err, ErrOther), err != nil && ended && !bytes.Contains(text, []byte(LoggerName)): // such as text that is not JSON
		return nil
	case err != nil && !ended:
		t.report.note(Note{Kind: NoteTorn, File: t.files[at.file], Line: at.line, Text: "the last line is not whole: it is being written, or was cut off"})
		return nil
	case err != nil:
		t.report.find(Finding{Kind: Malformed, File: t.files[at.file], Line: at.line, Text: err.Error()})
		return nil
	}
	if before := last[l.Node]; l.Seq <= before && l.Message != Started && l.Message != LinesDropped {
		t.report.note(Note{Kind: NoteOrder, Node: l.Node, Seq: l.Seq, File: t.files[at.file], Line: at.line, Text: fmt.Sprintf("it comes after line %d, so the log does not keep the order of the lines", before)})
	}
	last[l.Node] = l.Seq
	t.batch, t.places = append(t.batch, l), append(t.places, at)
	if len(t.batch) == batchSize {
		return t.flush()
	}
	return nil
}

// maxNested is the maximum number of objects in a line that search finds. Scribegate writes none
// within a line, but the log may.
const maxNested = 8

// search returns the line of the trail with which some text ends.
func (t *Trail) search(text []byte) (found bool, l Line) {
	at := len(text)
	for range maxNested {
		if at = bytes.LastIndex(text[:at], []byte(`{"`)); at <= 0 {
			break
		}
		if l, err := ParseLine(text[at:], t.ignored...); err == nil {
			return true, l
		}
	}
	return false, l
}

// flush checks the lines of the batch, and adds them to their nodes.
func (t *Trail) flush() error {
	if len(t.batch) == 0 {
		return nil
	}
	proofs := make([]Proof, len(t.batch))
	for i, l := range t.batch {
		proofs[i] = Proof{l.Digest, l.Link}
	}
	verdicts, err := t.check(proofs)
	if err != nil {
		return err
	}
	if len(verdicts) != len(proofs) {
		return errors.New("checking the lines: the answer does not have a verdict for each line")
	}
	for i, l := range t.batch {
		t.addTo(l, t.places[i], verdicts[i])
	}
	t.batch, t.places = t.batch[:0], t.places[:0]
	return nil
}

// addTo adds a checked line to its node.
func (t *Trail) addTo(l Line, at place, v Verdict) {
	n := t.nodes[l.Node]
	if n == nil {
		n = &node{name: l.Node}
		t.nodes[l.Node] = n
	}
	f := Finding{Node: l.Node, Seq: l.Seq, Through: l.Seq, File: t.files[at.file], Line: at.line}
	switch {
	case v == Wrong:
		f.Kind, f.Text = Changed, "the line was changed, or somebody without the key wrote it"
	case v == UnknownKey:
		f.Kind, f.Text = UnverifiedKey, "the line was made with the key "+l.Link.Key+", which is not configured any more, or by somebody else; name that key with --encryption-key"
	case v == Transient:
		f.Kind, f.Text = WithoutKey, "the line was written by a process that had no store, and so no key that is kept; nothing proves it"
	case l.Wrong != "":
		f.Kind, f.Text = Changed, l.Wrong
	}
	if f.Kind != "" {
		t.report.find(f)
	}
	if l.Message == LinesDropped {
		t.report.note(Note{Kind: NoteDropped, Node: l.Node, Seq: l.Seq, File: f.File, Line: f.Line, Text: fmt.Sprintf("%d lines before this one could not be written; the line accounts for them", l.Dropped)})
	}
	n.add(l, at, v != Wrong)
}
