// Package queue says what an engine that keeps events between their receipt and
// their last delivery must do. The engines are in the packages below it, and
// queuetest is the one suite that all of them pass.
//
// It imports package event and nothing else of this module.
package queue
