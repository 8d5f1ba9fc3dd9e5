// A visit is a browser's window at one console. It fails if the page reports anything in the
// browser's console, violates its policy, or requests anything of another origin.
import { setting } from './stage.mjs';
import { patience } from './check.mjs';

export const wide = { width: 1440, height: 900 };
export const narrow = { width: 360, height: 740 };

// credentials are those of the user whom basic_auth knows.
export const credentials = { username: setting.user, password: setting.password };

// visit opens a window for f, and closes it. Options are those of Playwright's contexts, and:
// site is the name of the console's site, and allows says which messages of the browser are
// expected.
export async function visit(browser, { site = 'loopback', allows = () => false, ...options }, f) {
	const base = setting.consoles[site], { origin } = new URL(base);
	const context = await browser.newContext({
		baseURL: base, viewport: wide, reducedMotion: 'reduce', locale: 'en-GB', timezoneId: 'UTC',
		...(site === 'guarded' || site === 'readonly' ? { httpCredentials: { ...credentials, origin } } : {}),
		...(site === 'prefixed' ? { extraHTTPHeaders: { 'X-Test-User': 'alice' } } : {}),
		...options,
	});
	context.setDefaultTimeout(patience);
	const problems = [];
	const report = (text) => allows(text) || problems.push(text);
	context.on('request', (r) => {
		if (new URL(r.url()).origin !== origin) {
			report(`a request to ${r.url()}`);
		}
	});
	context.on('console', (m) => report(`the browser's console: ${m.text()}`));
	context.on('weberror', (e) => report(`an error of the script: ${e.error()}`));
	context.on('dialog', (d) => {
		report(`a dialog: ${d.message()}`);
		d.dismiss();
	});
	try {
		await f(await context.newPage(), context);
	} finally {
		await context.close();
	}
	if (problems.length > 0) {
		throw new Error([...new Set(problems)].join('\n'));
	}
}

// open opens a page of the console, which must be answered with the status, and returns the answer.
export async function open(page, path = '', status = 200) {
	const answer = await page.goto(path);
	if (answer.status() !== status) {
		throw new Error(`${path}: status ${answer.status()}, want ${status}\n${(await answer.text()).slice(0, 2000)}`);
	}
	return answer;
}
