// SPDX-License-Identifier: Apache-2.0

package devissuer

import (
	"fmt"
	"path"
	"time"
)

const circleciLife = time.Hour

const circleciSource = `provider: circleci, issuer: "ISSUER", url: "https://circleci.com"`

// CircleContext is the id of the restricted context that development jobs have.
const CircleContext = "00000000-0000-4000-8000-00000000c001"

// circleciClaims are those of circleci.com/docs, "Using OpenID Connect tokens in
// jobs". vcs-origin says whose repository it is: a fork's is another one in the
// same project.
func circleciClaims(issuer, audience string, now time.Time, overrides map[string]string) (map[string]any, error) {
	const ours = "oidc.circleci.com/"
	c := newClaimSet(overrides)
	c.text("iss", issuer)
	c.text("aud", audience)
	c.number("iat", now.Unix())
	c.number("exp", now.Add(circleciLife).Unix())

	origin := c.text(ours+"vcs-origin", "github.com/acme/app")
	ref := c.text(ours+"vcs-ref", "refs/heads/main")
	organisation := c.text(ours+"org-id", uuidOf("acme"))
	project := c.text(ours+"project-id", uuidOf("acme/app"))
	c.text(ours+"pipeline-definition-id", uuidOf(path.Join(project, "definition")))
	c.text(ours+"pipeline-id", randomUUID())
	c.text(ours+"workflow-id", randomUUID())
	c.text(ours+"job-id", randomUUID())
	c.list(ours+"context-ids", CircleContext)
	c.boolean(ours+"ssh-rerun", false)
	c.text("sub", fmt.Sprintf("org/%s/project/%s/user/%s/vcs-origin/%s/vcs-ref/%s", organisation, project, uuidOf("octavia"), origin, ref))
	return c.rest()
}
