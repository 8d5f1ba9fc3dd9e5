package standin_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// upload sends a multipart form. The parts file and audio get a file name.
func upload(t *testing.T, method, url, key string, parts map[string]string) (int, []byte) {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for name, value := range parts {
		create := w.CreateFormField
		if name == "file" || name == "audio" {
			create = func(name string) (io.Writer, error) { return w.CreateFormFile(name, value+".wav") }
		}
		part, err := create(name)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(part, value)
	}
	w.Close()
	request, err := http.NewRequestWithContext(t.Context(), method, url, &form)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", w.FormDataContentType())
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

type file struct {
	ID                string  `json:"id"`
	Filename          string  `json:"filename"`
	Size              int     `json:"size"`
	CreatedAt         string  `json:"created_at"`
	ClientReferenceID *string `json:"client_reference_id"`
}

// TestFile uploads a file, transcribes it and deletes both.
func TestFile(t *testing.T) {
	t.Parallel()
	for name, deletes := range map[string]bool{"as users report": false, "as documented": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{DeleteFiles: deletes})
			status, body := upload(t, "POST", url+"/v1/files", standin.SonioxKey, map[string]string{"file": "sound", "client_reference_id": "visit 7"})
			if status != http.StatusCreated {
				t.Fatalf("%d %s", status, body)
			}
			uploaded := decode[file](t, body)
			if uploaded.Filename != "sound.wav" || uploaded.Size != 5 || *uploaded.ClientReferenceID != "visit 7" || uploaded.CreatedAt == "" {
				t.Errorf("%+v", uploaded)
			}
			if status, body := call(t, "GET", url+"/v1/files/"+uploaded.ID, standin.SonioxKey, ""); status != 200 || decode[file](t, body).ID != uploaded.ID {
				t.Errorf("%d %s", status, body)
			}

			created := create(t, url, `"model":"stt-async-v4","file_id":"`+uploaded.ID+`"`)
			if created.Filename != "sound.wav" || *created.FileID != uploaded.ID || created.AudioURL != nil {
				t.Errorf("%+v", created)
			}
			eventually(t, func() bool { return get(t, url, created.ID).Status == standin.Completed })
			if status, _ := call(t, "DELETE", url+"/v1/transcriptions/"+created.ID, standin.SonioxKey, ""); status != 204 {
				t.Errorf("deleting the transcription: %d", status)
			}
			if _, stays := s.File(uploaded.ID); stays == deletes {
				t.Errorf("the file is still there: %v", stays)
			}
			want := map[bool]int{false: 204, true: 404}[deletes]
			if status, _ := call(t, "DELETE", url+"/v1/files/"+uploaded.ID, standin.SonioxKey, ""); status != want {
				t.Errorf("deleting the file: %d, want %d", status, want)
			}
		})
	}
}

// TestUploadIsRefused checks what is not accepted as a file.
func TestUploadIsRefused(t *testing.T) {
	t.Parallel()
	_, url := start(t, standin.Options{})
	for name, tt := range map[string]struct {
		parts    map[string]string
		location string
	}{
		"no file":            {map[string]string{"client_reference_id": "1"}, "file.file"},
		"a reference of 257": {map[string]string{"file": "sound", "client_reference_id": strings.Repeat("x", 257)}, "form.client_reference_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, body := upload(t, "POST", url+"/v1/files", standin.SonioxKey, tt.parts)
			if e := decode[apiError](t, body); status != 400 || len(e.ValidationErrors) != 1 || e.ValidationErrors[0].Location != tt.location {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	if status, body := call(t, "POST", url+"/v1/files", standin.SonioxKey, "sound"); status != 400 {
		t.Errorf("without a form: %d %s", status, body)
	}
}
