// Package seal encrypts and authenticates the records of a store: the keys, the
// files that hold keys, and the key ring that seals with one key and opens with
// several.
//
// Each record is sealed with XAES-256-GCM: a random nonce of 24 bytes derives a key
// for this record alone, so that one configured key can seal any number of records.
// The id of the event is authenticated with the record, so a record that is moved
// to another event does not open.
//
// It imports nothing else of this module.
package seal
