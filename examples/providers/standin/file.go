package standin

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// A File is an audio file at Soniox. Its contents are not kept.
type File struct {
	ID                string // a UUID; default: a new one
	Project           string
	Filename          string // default: visit.wav
	Size              int64
	CreatedAt         time.Time // default: now
	ClientReferenceID string
}

// AddFile adds a file, or replaces the one of the same id. It returns the id. It panics if
// the id is not a UUID, since Soniox has no other ids.
func (s *Server) AddFile(f File) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addFile(f).ID
}

// addFile adds a file. s.mu is locked.
func (s *Server) addFile(f File) *File {
	f.ID = mustID(f.ID)
	if f.Filename == "" {
		f.Filename = "visit.wav"
	}
	if f.CreatedAt.IsZero() {
		f.CreatedAt = s.options.Now()
	}
	s.files[f.ID] = &f
	return &f
}

// File returns a file, and whether it is there.
func (s *Server) File(id string) (File, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[id]
	if !ok {
		return File{}, false
	}
	return *f, true
}

type fileJSON struct {
	ID                string  `json:"id"`
	Filename          string  `json:"filename"`
	Size              int64   `json:"size"`
	CreatedAt         string  `json:"created_at"`
	ClientReferenceID *string `json:"client_reference_id"`
}

func (f *File) json() fileJSON {
	return fileJSON{f.ID, f.Filename, f.Size, timestamp(f.CreatedAt), orNull(f.ClientReferenceID)}
}

func (s *Server) uploadFile(r *http.Request, key Key) answer {
	f := File{Project: key.Project}
	var hasFile bool
	err := eachPart(r, func(part *multipart.Part) (err error) {
		switch part.FormName() {
		case "file":
			hasFile, f.Filename = true, part.FileName()
			f.Size, err = io.Copy(io.Discard, part)
		case "client_reference_id":
			var value []byte
			value, err = io.ReadAll(io.LimitReader(part, 4<<10))
			f.ClientReferenceID = string(value)
		}
		return err
	})
	switch {
	case err != nil:
		return invalidRequest(validationError{"value_error", "body", "The body is not multipart/form-data."})
	case !hasFile:
		return invalidRequest(validationError{"missing", "file.file", "The field is required."})
	case utf8.RuneCountInString(f.ClientReferenceID) > 256:
		return invalidRequest(tooLong("form.client_reference_id", 256))
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files)+s.options.Playground >= s.options.MaxFiles {
		return limitExceeded("The organization has too many files. Delete some.")
	}
	return jsonAnswer(http.StatusCreated, s.addFile(f).json())
}

func (s *Server) listFiles(r *http.Request, key Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var own []*File
	for _, f := range s.files {
		if f.Project == key.Project {
			own = append(own, f)
		}
	}
	own, next, failed := page(s, r, own, func(f *File) position { return position{f.CreatedAt, f.ID} })
	if failed != nil {
		return *failed
	}
	list := make([]fileJSON, len(own))
	for i, f := range own {
		list[i] = f.json()
	}
	return jsonAnswer(http.StatusOK, struct {
		Files []fileJSON `json:"files"`
		Next  *string    `json:"next_page_cursor"`
	}{list, next})
}

func (s *Server) countFiles(*http.Request, Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts(len(s.files))
}

func (s *Server) getFile(r *http.Request, key Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, failed := s.findFile(r, key)
	if failed != nil {
		return *failed
	}
	return jsonAnswer(http.StatusOK, f.json())
}

func (s *Server) deleteFile(r *http.Request, key Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, failed := s.findFile(r, key)
	if failed != nil {
		return *failed
	}
	delete(s.files, f.ID)
	return answer{status: http.StatusNoContent}
}

// findFile returns the file that a request names. s.mu is locked.
func (s *Server) findFile(r *http.Request, key Key) (*File, *answer) {
	id, ok := sonioxID(r)
	if !ok {
		a := malformedID("file_id")
		return nil, &a
	}
	f, ok := s.files[id]
	if !ok || f.Project != key.Project {
		a := sonioxError(http.StatusNotFound, "file_not_found", "The project has no file with this id.")
		return nil, &a
	}
	return f, nil
}

// eachPart calls do for each part of a multipart/form-data body.
func eachPart(r *http.Request, do func(*multipart.Part) error) error {
	parts, err := r.MultipartReader()
	if err != nil {
		return err
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(part)
		}
		if err != nil {
			return err
		}
	}
}

// mustID returns the id, or a new one for "".
func mustID(id string) string {
	if id == "" {
		return uuid.NewString()
	}
	if !isUUID(id) {
		panic("standin: the id of a transcription or file must be a UUID, not " + id)
	}
	return id
}
