// Package standin plays the REST APIs of Soniox and SOAPNoteAPI, with synthetic
// transcripts and notes, for tests and for local work. It imports nothing of the gateway,
// so that a mistake in one of them is not repeated in the other.
//
// A Server is an http.Handler. It keeps everything in memory:
//
//	providers := standin.New(standin.Options{})
//	api := httptest.NewServer(providers)
//	defer api.Close()
//	defer providers.Close() // before api.Close, since it ends the requests that hang
//	id := providers.AddTranscription(standin.Transcription{WebhookURL: "https://hooks.example.com/soniox?user_id=123"})
//
// # What is chosen here
//
// Where the providers document nothing, the stand-in chooses. Do not rely on it:
//
//   - A webhook of Soniox that no 2xx answers is sent again after 1 s, 2 s and 4 s
//     (Options.WebhookRetries), each with a timeout of 10 s, and redirects are not
//     followed. webhook_status_code is that of the last answer, and null while there was
//     no answer at all.
//   - Lists begin with the newest (Options.OldestFirst). A cursor stays valid while
//     entries come and go.
//   - The counts are those of the organization. Deleting a file that a transcription uses
//     is allowed. Deleting a transcription leaves its file (Options.DeleteFiles), as users
//     report and against the documentation.
//   - A key that begins with snx_org_ is answered 403. An unknown path is 404, whatever
//     the method.
//   - No answer has a Retry-After, except that of a Fault.
//   - The text of a translated transcript is that of the original tokens.
//   - SOAPNoteAPI's note is the object of the webhook's data, and its status is
//     {"noteId","status"} with the words processing, completed and failed. Both are 404
//     for an expired note, and the note is 404 until it is completed. All error codes but
//     NOT_FOUND are invented.
//   - PUT /v1/note/audio takes any audio with any metadata.
package standin
