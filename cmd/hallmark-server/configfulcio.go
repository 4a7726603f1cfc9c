// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
)

// FulcioConfig switches the Fulcio API on: stock clients get certificates on
// keys of their own and sign by themselves, where no gate looks at what they
// sign (docs/THREATS.md). It needs an authority of its own, which init makes, or
// later `hallmark-server fulcio enable`, and rules of the policy with
// `actions: [certificate]`.
type FulcioConfig struct {
	// Audience is the one audience of tokens for certificates. Stock cosign asks
	// its CI for "sigstore", whatever the server; with any other, jobs have to be
	// given their token. It is not the audience of tokens for signing.
	Audience string `yaml:"audience"`
}

// checkFulcio checks the member fulcio.
func (c *Config) checkFulcio() error {
	switch {
	case c.Fulcio == nil:
		return nil
	case c.Fulcio.Audience == "":
		return errors.New("fulcio.audience is missing (hint: sigstore, which is what stock cosign asks for)")
	case c.Fulcio.Audience == c.Audience || c.Fulcio.Audience == c.Origin:
		return fmt.Errorf("fulcio.audience %q is that of tokens for signing: each needs its own, or a token for the one would do for the other", c.Fulcio.Audience)
	}
	return nil
}
