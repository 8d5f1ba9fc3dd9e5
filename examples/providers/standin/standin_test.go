package standin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

const (
	id      = "73d4357d-cad2-4338-a60d-ec6f2044f721"
	otherID = "84c32fc6-4fb5-4e7a-b656-b5ec70493753"
	orgKey  = "snx_org_1"
	readKey = "snx_read"
	foreign = "snx_other_project"
)

// keys are those of two projects.
var keys = []standin.Key{{Value: standin.SonioxKey}, {Value: readKey, ReadOnly: true}, {Value: foreign, Project: "other"}}

// start serves a Server until the end of the test.
func start(t *testing.T, o standin.Options) (*standin.Server, string) {
	t.Helper()
	if o.SonioxKeys == nil {
		o.SonioxKeys = keys
	}
	s := standin.New(o)
	api := httptest.NewServer(s)
	t.Cleanup(api.Close)
	t.Cleanup(s.Close) // before api.Close, since it ends the requests that hang
	return s, api.URL
}

// call sends a request with a key and returns the answer.
func call(t *testing.T, method, url, key, body string) (int, []byte) {
	t.Helper()
	resp, answer, err := send(t, method, url, key, body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func send(t *testing.T, method, url, key, body string) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultTransport.RoundTrip(request) // follows no redirects
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}

// decode reads JSON, whose members the type must all know.
func decode[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

type apiError struct {
	StatusCode       int    `json:"status_code"`
	ErrorType        string `json:"error_type"`
	Message          string `json:"message"`
	ValidationErrors []struct {
		ErrorType string `json:"error_type"`
		Location  string `json:"location"`
		Message   string `json:"message"`
	} `json:"validation_errors"`
	RequestID string `json:"request_id"`
	MoreInfo  string `json:"more_info"`
}

// TestAnswers checks the status and the error type of each endpoint for each kind of key,
// id and state.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const (
		transcriptions = "/v1/transcriptions"
		files          = "/v1/files"
	)
	tests := []struct {
		name, method, path, key string
		status                  int
		errorType               string
	}{
		{"no key", "GET", transcriptions, "", 401, "unauthenticated"},
		{"an unknown key", "GET", transcriptions, "snx_unknown", 401, "unauthenticated"},
		{"the organization's key", "GET", transcriptions, orgKey, 403, "permission_denied"},
		{"another project's key", "GET", transcriptions + "/" + id, foreign, 404, "transcription_not_found"},
		{"another project's key, transcript", "GET", transcriptions + "/" + id + "/transcript", foreign, 404, "transcription_not_found"},
		{"another project's key, delete", "DELETE", transcriptions + "/" + id, foreign, 404, "transcription_not_found"},
		{"another project's key, file", "GET", files + "/" + id, foreign, 404, "file_not_found"},
		{"a read key reads", "GET", transcriptions + "/" + id, readKey, 200, ""},
		{"a read key counts", "GET", files + "/count", readKey, 200, ""},
		{"a read key deletes", "DELETE", transcriptions + "/" + id, readKey, 403, "permission_denied"},
		{"a read key deletes a file", "DELETE", files + "/" + id, readKey, 403, "permission_denied"},
		{"a read key creates", "POST", transcriptions, readKey, 403, "permission_denied"},
		{"a read key uploads", "POST", files, readKey, 403, "permission_denied"},

		{"an id in capitals", "GET", transcriptions + "/" + strings.ToUpper(id), standin.SonioxKey, 200, ""},
		{"an unknown id", "GET", transcriptions + "/" + otherID, standin.SonioxKey, 404, "transcription_not_found"},
		{"a malformed id", "GET", transcriptions + "/t1", standin.SonioxKey, 400, "invalid_request"},
		{"a malformed id, transcript", "GET", transcriptions + "/t1/transcript", standin.SonioxKey, 400, "invalid_request"},
		{"a malformed id, delete", "DELETE", transcriptions + "/t1", standin.SonioxKey, 400, "invalid_request"},
		{"an id that is escaped", "GET", transcriptions + "/..%2Ffiles%2Fcount", standin.SonioxKey, 400, "invalid_request"},
		{"an id that is not escaped", "GET", transcriptions + "/../files/count", standin.SonioxKey, 404, "not_found"},
		{"an empty id", "GET", transcriptions + "//transcript", standin.SonioxKey, 404, "not_found"},
		{"a UUID without hyphens", "GET", transcriptions + "/" + strings.ReplaceAll(id, "-", ""), standin.SonioxKey, 400, "invalid_request"},
		{"a malformed file id", "DELETE", files + "/f1", standin.SonioxKey, 400, "invalid_request"},
		{"an unknown file", "DELETE", files + "/" + otherID, standin.SonioxKey, 404, "file_not_found"},
		{"an unknown path", "GET", "/v2/transcriptions", standin.SonioxKey, 404, "not_found"},

		{"delete", "DELETE", transcriptions + "/" + id, standin.SonioxKey, 204, ""},
		{"delete a file", "DELETE", files + "/" + id, standin.SonioxKey, 204, ""},
		{"no limit at all", "GET", transcriptions + "?limit=0", standin.SonioxKey, 400, "invalid_request"},
		{"a limit beyond 1000", "GET", transcriptions + "?limit=1001", standin.SonioxKey, 400, "invalid_request"},
		{"a limit of files", "GET", files + "?limit=x", standin.SonioxKey, 400, "invalid_request"},
		{"a cursor that is not one", "GET", transcriptions + "?cursor=x", standin.SonioxKey, 400, "invalid_cursor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{})
			s.AddTranscription(standin.Transcription{ID: id})
			s.AddFile(standin.File{ID: id})
			status, body := call(t, tt.method, url+tt.path, tt.key, "")
			if status != tt.status {
				t.Fatalf("status = %d, want %d: %s", status, tt.status, body)
			}
			if tt.errorType == "" {
				if status == http.StatusNoContent && len(body) > 0 {
					t.Errorf("204 with a body: %s", body)
				}
				return
			}
			e := decode[apiError](t, body)
			if e.StatusCode != tt.status || e.ErrorType != tt.errorType || e.Message == "" || e.RequestID == "" {
				t.Errorf("error = %+v, want %s", e, tt.errorType)
			}
			if want := "https://soniox.com/docs/api-reference/errors#" + strings.ReplaceAll(tt.errorType, "_", "-"); e.MoreInfo != want {
				t.Errorf("more_info = %s, want %s", e.MoreInfo, want)
			}
			if !bytes.Contains(body, []byte(`"validation_errors":[`)) || (tt.errorType == "invalid_request") != (len(e.ValidationErrors) > 0) {
				t.Errorf("validation_errors = %v in %s", e.ValidationErrors, body)
			}
		})
	}
}

// TestStates checks what the status of a transcription means for its endpoints.
func TestStates(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]struct{ transcript, remove int }{
		standin.Queued:     {409, 409},
		standin.Processing: {409, 409},
		standin.Completed:  {200, 204},
		standin.Failed:     {409, 204},
	} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{})
			s.AddTranscription(standin.Transcription{ID: id, Status: status})
			path := url + "/v1/transcriptions/" + id
			for _, step := range []struct {
				method, path string
				want         int
			}{{"GET", path + "/transcript", want.transcript}, {"DELETE", path, want.remove}} {
				got, body := call(t, step.method, step.path, standin.SonioxKey, "")
				if got != step.want {
					t.Errorf("%s %s: %d, want %d", step.method, step.path, got, step.want)
				}
				if got == http.StatusConflict && decode[apiError](t, body).ErrorType != "transcription_invalid_state" {
					t.Errorf("%s", body)
				}
			}
			_, stays := s.Transcription(id)
			if stays != (want.remove == 409) {
				t.Errorf("the transcription is still there: %v", stays)
			}
		})
	}
}
