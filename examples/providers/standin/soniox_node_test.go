//go:build examples

package standin_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// An sdkError is an error of @soniox/node.
type sdkError struct {
	StatusCode int      `json:"statusCode"`
	Code       string   `json:"code"`
	Body       apiError `json:"body"`
}

// An sdkWebhook is a webhook as @soniox/node verified it.
type sdkWebhook struct {
	Event  map[string]string `json:"event"`
	Query  string            `json:"query"`
	Status int               `json:"status"`
}

// TestSonioxNode runs npm's @soniox/node against the stand-in: it must find everything
// that it reads, and fail as it does with Soniox.
func TestSonioxNode(t *testing.T) {
	s, url := start(t, standin.Options{})
	processing := s.AddTranscription(standin.Transcription{Status: standin.Processing})
	got := decode[struct {
		Uploaded, File             map[string]any
		Created, Completed, Failed map[string]any
		Webhook, FailedWebhook     sdkWebhook
		Transcript                 struct {
			ID, Text string
			Segments []struct{ Text, Speaker, Language string }
		}
		NotYet, Busy, NoTranscript, Invalid, BadCursor, WrongKey sdkError
		Listed, Files, IDs                                       []string
		Count, FileCount, Rest                                   map[string]int
		Unknown                                                  any
		Deleted                                                  []any
	}](t, playSDK(t, url, processing))

	for name, f := range map[string]map[string]any{"upload": got.Uploaded, "get": got.File} {
		if f["filename"] != "visit.wav" || f["size"] != 15.0 || f["client_reference_id"] != "file 7" || f["created_at"] == nil {
			t.Errorf("files.%s: %v", name, f)
		}
	}
	members := []string{
		"audio_duration_ms", "audio_url", "client_reference_id", "context", "created_at", "enable_language_identification",
		"enable_speaker_diarization", "error_message", "error_type", "file_id", "filename", "id", "language_hints", "model", "status",
		"webhook_auth_header_name", "webhook_auth_header_value", "webhook_status_code", "webhook_url",
	}
	if has := slices.Sorted(maps.Keys(got.Created)); !slices.Equal(has, members) {
		t.Errorf("the SDK read %q, and it knows %q", has, members)
	}
	if c := got.Created; c["status"] != "queued" || c["client_reference_id"] != "visit 7" || c["file_id"] != got.Uploaded["id"] || c["filename"] != "visit.wav" {
		t.Errorf("stt.create: %v", c)
	}
	if c := got.Completed; c["status"] != "completed" || c["id"] != got.Created["id"] || c["audio_duration_ms"] == nil {
		t.Errorf("stt.get: %v", c)
	}
	if f := got.Failed; f["status"] != "error" || f["error_type"] != "invalid_audio_file" || f["error_message"] == nil {
		t.Errorf("stt.wait: %v", f)
	}

	for status, hook := range map[string]sdkWebhook{"completed": got.Webhook, "error": got.FailedWebhook} {
		id := map[string]any{"completed": got.Created["id"], "error": got.Failed["id"]}[status]
		if hook.Status != http.StatusOK || hook.Query != "?user_id=123" || hook.Event["id"] != id || hook.Event["status"] != status {
			t.Errorf("the webhook of %s: %+v", status, hook)
		}
	}
	if tr := got.Transcript; tr.ID != got.Created["id"] || len(tr.Segments) != 1 || tr.Segments[0].Text != tr.Text || tr.Segments[0].Speaker != "1" || tr.Segments[0].Language != "en" {
		t.Errorf("stt.getTranscript: %+v", tr)
	}

	for name, tt := range map[string]struct {
		got    sdkError
		status int
		kind   string
	}{
		"a transcript that is not ready": {got.NotYet, 409, "transcription_invalid_state"},
		"deleting what is processed":     {got.Busy, 409, "transcription_invalid_state"},
		"the transcript of a failure":    {got.NoTranscript, 409, "transcription_invalid_state"},
		"a model that does not exist":    {got.Invalid, 400, "invalid_request"},
		"a cursor that is not one":       {got.BadCursor, 400, "invalid_cursor"},
		"a wrong key":                    {got.WrongKey, 401, "unauthenticated"},
	} {
		if tt.got.StatusCode != tt.status || tt.got.Code != "http_error" || tt.got.Body.ErrorType != tt.kind {
			t.Errorf("%s: %+v, want %d %s", name, tt.got, tt.status, tt.kind)
		}
	}

	slices.Sort(got.Listed)
	slices.Sort(got.IDs)
	if !slices.Equal(got.Listed, got.IDs) || len(got.Files) != 1 || got.Files[0] != got.Uploaded["id"] {
		t.Errorf("stt.list: %q, files.list: %q; want %q and %v", got.Listed, got.Files, got.IDs, got.Uploaded["id"])
	}
	for name, tt := range map[string]struct {
		got  map[string]int
		want int
	}{"stt.count": {got.Count, 4}, "files.count": {got.FileCount, 1}, "stt.count at the end": {got.Rest, 2}} {
		if want := map[string]int{"playground": 0, "public_api": tt.want, "total": tt.want}; !maps.Equal(tt.got, want) {
			t.Errorf("%s: %v, want %v", name, tt.got, want)
		}
	}
	if got.Unknown != nil || len(got.Deleted) != 3 || slices.ContainsFunc(got.Deleted, func(v any) bool { return v != nil }) {
		t.Errorf("what is not there: %v, what was deleted: %v", got.Unknown, got.Deleted)
	}
}

// playSDK runs testdata/soniox-node, with the SDK in the version that its lock file pins,
// and returns what it printed.
func playSDK(t *testing.T, url, processing string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "soniox-node"))); err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, args := range [][]string{{"npm", "ci", "--no-audit", "--no-fund"}, {"node", "play.mjs", processing}} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SONIOX_API_BASE_URL="+url, "SONIOX_API_KEY="+standin.SonioxKey)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		var err error
		if out, err = cmd.Output(); errors.Is(err, exec.ErrNotFound) {
			t.Fatalf("%s is not installed; install it with: apt-get install -y nodejs npm", args[0])
		} else if err != nil {
			t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
		}
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, out, "", "  "); err == nil {
		t.Logf("@soniox/node returned\n%s", indented.String())
	}
	return out
}
