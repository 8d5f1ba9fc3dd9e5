package rest

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// A value is kept as it was sent, whatever surrounds it and however it arrives.
func TestAppendRaw(t *testing.T) {
	t.Parallel()
	long := `[{"text":"` + strings.Repeat("x", 20_000) + `"}, 1 , {"a" : [ ] }]`
	for _, value := range []string{`"a"`, `1.50`, `null`, `{ }`, `[ 1 , 2 ]`, `"\ud83d"`, `{"a":1,"a":2}`, `"ä\u00e4"`, long} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "a byte at a time": iotest.OneByteReader, "in halves": iotest.HalfReader,
		} {
			body := "\n{ \"x\" : 1 ,\t\"v\" :\r\n " + value + " \n, \"y\":[" + value + "]}"
			d := NewDocument(wrap(strings.NewReader(body)))
			got := []byte("before ")
			err := d.Object(func(name string) (err error) {
				if name == "v" {
					got, err = d.AppendRaw(got)
				}
				return err
			})
			if err != nil || d.End() != nil || string(got) != "before "+value {
				t.Errorf("%s: got %.40q, %v; want %.40q", name, got, err, value)
			}
		}
	}
}

func TestAppendRawRejects(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"v":`, `{"v":[`, `{"v":[}`, `{"v":"` + "\xff" + `"}`, `{"v" 1}`, `{"v":tru}`} {
		d := NewDocument(strings.NewReader(body))
		got := []byte("before")
		err := d.Object(func(string) (err error) {
			got, err = d.AppendRaw(got)
			return err
		})
		if err == nil || string(got) != "before" {
			t.Errorf("%q: %q, %v", body, got, err)
		}
	}
}

// Whatever the API sends, a value that was kept is one that a strict reader finds at the
// same place.
func FuzzDocument(f *testing.F) {
	f.Add(`{"a":1,"v":{"b":[1,2]},"c":"d"}`)
	f.Add(`{"v":"\ud83d"}`)
	f.Add(`{"v":[]`)
	f.Fuzz(func(t *testing.T, body string) {
		var got []byte
		d := NewDocument(strings.NewReader(body))
		err := d.Object(func(name string) (err error) {
			if name == "v" {
				got, err = d.AppendRaw(nil)
			}
			return err
		})
		if err != nil || d.End() != nil {
			return
		}
		var want struct {
			V json.RawMessage `json:"v"`
		}
		if json.Unmarshal([]byte(body), &want) == nil && got != nil && !json.Valid(got) {
			t.Errorf("kept %q of %q", got, body)
		}
	})
}
