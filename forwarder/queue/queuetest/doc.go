// Package queuetest is the test suite for queue engines: a case for each promise of
// package queue, and a model with which the results of random operations are compared.
//
// The test of an engine calls Run with a function that opens an empty queue:
//
//	func TestSuite(t *testing.T) { queuetest.Run(t, open) }
//
// It is for tests only. Of this module it imports packages queue, event and model.
package queuetest
