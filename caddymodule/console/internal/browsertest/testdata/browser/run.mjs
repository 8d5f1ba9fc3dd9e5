// Runs all checks in one browser, one after the other, and prints a line of JSON about each.
import { chromium } from 'playwright-core';
import { restore, setting } from './stage.mjs';
import { checks } from './check.mjs';

const modules = ['look', 'quiet', 'find', 'refresh', 'act', 'keyboard', 'access', 'strangers'];
for (const name of modules) {
	await import(`./checks/${name}.mjs`);
}

const browser = await chromium.launch({
	executablePath: setting.chromium,
	args: [
		'--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
		'--host-resolver-rules=MAP evil.test 127.0.0.1',
	],
});
try {
	for (const { name, f } of checks.filter((c) => c.name.includes(setting.only))) {
		const began = Date.now(), notes = [];
		let error = '';
		try {
			await f(browser, (note) => notes.push(note));
		} catch (e) {
			error = e.stack ?? String(e);
		}
		await restore(); // so that the next checks do not fail too
		console.log(JSON.stringify({ name, error, notes, millis: Date.now() - began }));
	}
} finally {
	await browser.close();
}
