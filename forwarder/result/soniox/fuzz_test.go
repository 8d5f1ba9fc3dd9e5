package soniox

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// isObject reports whether b is one JSON object, as any reader takes it.
func isObject(b []byte, o ...jsontext.Options) bool {
	v := jsontext.Value(b)
	return v.Kind() == '{' && v.IsValid(append(o, jsontext.AllowInvalidUTF8(true))...) && bytes.Equal(b, bytes.ToValidUTF8(b, nil))
}

// Whatever the API sends, what becomes part of an event is valid.
func FuzzTranscript(f *testing.F) {
	f.Add(`{"id":"a","text":"t","tokens":[{"text":"\ud83d"}]}`, true)
	f.Add(`{"tokens" : [ ] , "text":"\u00e4" , "id":"a"}`, false)
	f.Add("{\"id\":\"a\",\"text\":\"\xff\"}", false)
	f.Fuzz(func(t *testing.T, body string, tokens bool) {
		got, err := appendTranscript(nil, strings.NewReader(body), "a", tokens)
		if err == nil && !isObject(got, jsontext.AllowDuplicateNames(true)) {
			t.Errorf("%q of %q", got, body)
		}
	})
}

func FuzzTranscription(f *testing.F) {
	f.Add(`{"id":"a","status":"completed","created_at":"2026-03-19T15:30:00Z","model":"m","audio_duration_ms":1e3}`)
	f.Add(`{"id":"a","status":"error","error_type":"e","error_type":"f","file_id":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		got, ok, err := readTranscription(rest.NewDocument(strings.NewReader(body)))
		if err != nil {
			return
		}
		if object := "{" + string(got.Members) + "}"; !isObject([]byte(object)) {
			t.Errorf("members %q of %q", got.Members, body)
		}
		if ok && got.Status == "" || got.FileID != "" && !IsID(got.FileID) {
			t.Errorf("status %q, file %q", got.Status, got.FileID)
		}
	})
}
