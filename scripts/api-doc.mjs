// Writes docs/api.md from index.d.ts, whose comments are the reference: `npm run docs`.
//
// One page in the order of the typings, from the compiler that is here anyway: a documentation generator would bring dozens of packages
// and a page for each type.
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const INTRODUCTION = `<!-- Written from index.d.ts by \`npm run docs\`. Change that. -->

# API

All of it comes by \`import\` and by \`require\` from \`baileys-cask\`. Every method returns a native promise where it says so, and rejects, or throws where it
does not, with what [errors.md](errors.md) lists. What can be stored is in [values.md](values.md), and how transactions behave in [transactions.md](transactions.md).
`

/** The page for a file of declarations; its functions are in the order of some names. */
export function apiPage(source, order) {
  const file = ts.createSourceFile('index.d.ts', source, ts.ScriptTarget.Latest, true)
  const sections = [{ title: 'Functions', declarations: [] }]
  const functions = new Map()
  for (const statement of file.statements) {
    const title = sectionBefore(source, statement)
    if (title) sections.push({ title, declarations: [] })
    if (ts.isFunctionDeclaration(statement)) functions.set(statement.name.text, [...(functions.get(statement.name.text) ?? []), statement])
    else if (isShown(statement)) sections.at(-1).declarations.push(statement)
  }
  const names = new Set(sections.flatMap(({ declarations }) => declarations.map(({ name }) => name.text)))
  const parts = [INTRODUCTION, '## Functions\n', ...[...functions].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b)).map(([name, overloads]) => functionPart(name, overloads, names))]
  for (const { title, declarations } of sections.slice(1)) {
    if (declarations.length > 0) parts.push(`## ${title[0].toUpperCase()}${title.slice(1)}\n`, ...declarations.map(declaration => typePart(declaration, names)))
  }
  return `${parts.join('\n').replace(/\n{3,}/g, '\n\n').trimEnd()}\n`
}

/** The heading in a comment such as `// ---- stores ----` right before a declaration. */
const sectionBefore = (source, node) => /^\/\/ -+ (.*?) -+$/m.exec(source.slice(node.pos, node.getStart()))?.[1]

/** What is exported, and what exported interfaces have in common. */
function isShown(node) {
  if (ts.isInterfaceDeclaration(node)) return true
  return (ts.isClassDeclaration(node) || ts.isTypeAliasDeclaration(node)) && node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
}

function functionPart(name, overloads, names) {
  return [`### \`${name}\`\n`, fenced(overloads.map(overload => plain(overload).replace(/^export function /, ''))), overloads.map(comment).filter(Boolean).join('\n\n'), uses(overloads, names)].filter(Boolean).join('\n') + '\n'
}

function typePart(declaration, names) {
  const heading = `### \`${declaration.name.text}\`\n`
  const about = [comment(declaration), uses([declaration], names)].filter(Boolean).join('\n')
  if (ts.isTypeAliasDeclaration(declaration)) return [heading, fenced([plain(declaration).replace(/^export /, '')]), about].join('\n') + '\n'
  const base = declaration.heritageClauses?.map(clause => plain(clause)).join(' ')
  const members = declaration.members.map(memberPart)
  return [heading, ...(base ? [`\`${base.trim()}\`\n`] : []), ...(about ? [about] : []), ...(members.length > 0 ? [members.join('\n')] : [])].join('\n') + '\n'
}

function memberPart(member) {
  const text = comment(member)
  return `- \`${plain(member)}\`${text ? `<br>${text.replaceAll('\n\n', '<br>')}` : ''}`
}

/** The source of a declaration in one piece, without comments. */
function plain(node) {
  const printer = ts.createPrinter({ removeComments: true })
  const printed = printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile()).replace(/;$/, '')
  return ts.isTypeAliasDeclaration(node) ? printed : printed.replace(/\s*\n\s*/g, ' ')
}

/** The comment before a declaration, unwrapped, with its default. */
function comment(node) {
  const docs = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc)
  return docs.map(doc => {
    const text = (ts.getTextOfJSDocComment(doc.comment) ?? '').split('\n\n').map(paragraph => paragraph.replace(/\s*\n\s*/g, ' ').trim())
    const defaults = doc.tags?.filter(({ tagName }) => tagName.text === 'default').map(tag => `Default: ${ts.getTextOfJSDocComment(tag.comment)}.`) ?? []
    return [...text, ...defaults].filter(Boolean).join('\n\n').replace(/\n\nDefault:/, ' Default:')
  }).join('\n\n')
}

const fenced = lines => `\`\`\`ts\n${lines.join('\n')}\n\`\`\`\n`

/** Links to the types that some declarations name. */
function uses(nodes, names) {
  const found = new Set()
  const visit = node => {
    if ((ts.isTypeReferenceNode(node) && names.has(node.typeName.getText())) || (ts.isExpressionWithTypeArguments(node) && names.has(node.expression.getText()))) {
      found.add((node.typeName ?? node.expression).getText())
    }
    ts.forEachChild(node, visit)
  }
  for (const node of nodes) ts.forEachChild(node, visit)
  return found.size === 0 ? '' : `\nSee ${[...found].map(name => `[${name}](#${name.toLowerCase()})`).join(', ')}.\n`
}

const read = name => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')
/** The page as it should be. */
export const currentPage = () => apiPage(read('index.d.ts'), /{(.*)}/.exec(read('index.mjs'))[1].split(',').map(name => name.trim()))

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(new URL('../docs/api.md', import.meta.url), currentPage())
