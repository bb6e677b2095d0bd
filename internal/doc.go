// Package internal holds the packages of avjepa; layers_test.go guards their order.
package internal
