package main

import (
	"encoding/json"
	"errors"
)

// job returns the body of the request that creates a transcription at Soniox: the
// transcription's webhook goes to url, with the header that the gateway accepts.
func job(url, secret string) []byte {
	body, err := json.Marshal(map[string]string{
		"model":                     "stt-async-v4",
		"audio_url":                 "https://example.com/visit.wav",
		"client_reference_id":       "visit-7",
		"webhook_url":               url,
		"webhook_auth_header_name":  "Authorization",
		"webhook_auth_header_value": "Bearer " + secret,
	})
	if err != nil {
		panic(err) // a map of strings is always valid
	}
	return body
}

// A transcript is the member data.transcription.transcript of an event.
type transcript struct {
	Text   string            `json:"text"`
	Tokens []json.RawMessage `json:"tokens"`
}

// transcriptOf returns the transcript in the data of an event.
func transcriptOf(data json.RawMessage) (transcript, error) {
	var event struct {
		Transcription struct {
			Transcript transcript `json:"transcript"`
		} `json:"transcription"`
	}
	// The error is not returned: its text can quote the data.
	if json.Unmarshal(data, &event) != nil || event.Transcription.Transcript.Text == "" || len(event.Transcription.Transcript.Tokens) == 0 {
		return transcript{}, errors.New("the event should have the transcript, in data.transcription")
	}
	return event.Transcription.Transcript, nil
}
