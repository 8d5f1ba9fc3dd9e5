// Package model is a queue in its simplest form: what an engine must answer to each
// call, in plain lists and without storage. The suite compares engines with it.
package model
