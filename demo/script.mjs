/** Who says what, in which order. The same numbers give the same conversation. */
const LINES = [
  ['Did you pack the tent?', 'I did. You have the stove?'],
  ['Stove, gas, two mugs.', 'Then only the weather is missing.'],
  ['Rain until noon, they say.', 'They said that last year too.'],
  ['And it rained until noon.', 'Fair point. I bring the big tarp.'],
  ['The 7:40 or the 8:10 train?', '8:10, I want to sleep.'],
  ['You always want to sleep.', 'And I am always on time.'],
  ['Who has the map?', 'On my phone. And on paper, for you.'],
  ['Phones die on mountains.', 'Not mine: nothing I write is lost.'],
  ['Big words.', 'Pull the plug and see.'],
  ['There is a hut at 1,900 m.', 'Soup?'],
  ['Soup, and a wood stove.', 'Then we walk faster.'],
  ['See you on platform 3.', 'I am the one with the tarp.'],
]

/**
 * Turns of `count` messages, numbered from `first`: `plan(block)` gives the turns of one block after the other. A turn is
 * `{ messages, topUp }`; its messages are sent at the same moment, and `topUp` names an account that uploads a few pre-keys before.
 */
function turnsOf(count, first, plan) {
  const turns = []
  const end = first + count
  let number = first
  for (let block = 0; number < end; block++) {
    for (const { messages, ...extra } of plan(block)) {
      const numbered = messages.slice(0, end - number).map(message => {
        const [ada, ben] = LINES[Math.floor(number / 2) % LINES.length]
        const text = `#${number} ${message.from === 'ada' ? ada : ben}`
        return { id: `DEMO${number}`, number: number++, toGroup: false, ...message, text }
      })
      if (numbered.length) turns.push({ messages: numbered, ...extra })
    }
  }
  return turns
}

const pair = block => (block % 2 ? ['ben', 'ada'] : ['ada', 'ben'])
const inTurn = (count, [one, other], toGroup = false) =>
  Array.from({ length: count }, (_, i) => ({ messages: [{ from: i % 2 ? other : one, toGroup }] }))
const burst = (count, from) => ({ messages: Array.from({ length: count }, () => ({ from })) })

/** Twenty messages a block: six that alternate, a burst of five, three to the group, six that cross each other in both chats. */
export const wholeStory = count => turnsOf(count, 1, block => {
  const [one, other] = pair(block)
  const [opening, ...alternating] = inTurn(6, [one, other])
  // Now and then a session starts anew, which uses up a pre-key, and the server asks for more of them.
  if (block % 4 === 3) opening.messages[0].renew = true
  if (block % 3 === 2) opening.topUp = other
  const crossing = Array.from({ length: 6 }, (_, i) => ({ from: i % 2 ? one : other, toGroup: i > 3 }))
  return [opening, ...alternating, burst(5, other), ...inTurn(3, [other, one], true), { messages: crossing }]
})

/** Between the two only: six that alternate, then a burst of four. */
export const privateTalk = (count, first) => turnsOf(count, first, block => [...inTurn(6, pair(block)), burst(4, pair(block)[1])])

/** In the group only, alternating. */
export const groupTalk = (count, first) => turnsOf(count, first, block => inTurn(2, pair(block), true))
